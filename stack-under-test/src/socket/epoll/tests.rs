//! Sets of sockets, and what wakes who waits for them.
