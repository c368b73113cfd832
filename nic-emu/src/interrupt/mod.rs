//! Interrupt causes, masks, moderation and messages (section 7.3, 8.8).

mod causes;
mod moderation;
mod registers;
mod table;

pub(crate) use table::Table;

/// Bits of `EICR` that can be vectors.
pub(crate) const VECTORS: usize = 25;

/// What stands between a cause and its message.
#[derive(Clone, Debug)]
pub(crate) struct Interrupts {
    /// `EICR & EIMS` as last seen: a message is asked for by a bit that becomes set in it.
    asserted: u32,
    /// Messages asked for and not yet sent, a bit a vector.
    pending: u32,
    /// Vectors whose moderation timer runs.
    waiting: u32,
    /// When each vector may next send.
    allowed_at: [u64; VECTORS],
}

impl Interrupts {
    pub(crate) const fn new() -> Self {
        Self { asserted: 0, pending: 0, waiting: 0, allowed_at: [0; VECTORS] }
    }
}
