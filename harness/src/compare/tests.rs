//! Two records of one case, held against each other.
