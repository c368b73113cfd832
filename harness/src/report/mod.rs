//! What a run says: people, machines, and CI.
