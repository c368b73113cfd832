//! What was on the wire, kept: pcapng files.
