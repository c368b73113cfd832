//! Judging frames: decoding, patterns, relations, and the comparison that a failure shows.
