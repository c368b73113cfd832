//! Files of sysfs that can be written: those of a transmit queue of `eth0`.

use super::Stack;
use crate::drivers::igb::MAX_QUEUE_PAIRS;
use crate::errno::Errno;
use crate::time::Instant;
use crate::trace::Context;

/// The folder of the queues.
const QUEUES: &str = "/sys/class/net/eth0/queues/";

impl Stack {
    /// Writes `text` to the file `path`: `xps_cpus` (a mask of CPUs in hexadecimal, commas between words of 32 bits),
    /// `xps_rxqs` (the same of receive queues) or `byte_queue_limits/limit_min` (bytes) of a transmit queue.
    ///
    /// # Errors
    /// As the kernel has them: `ENOENT` for a file that is not there, `EINVAL` and `EOVERFLOW` for what is written.
    pub fn sysfs_write(&mut self, now: Instant, path: &str, text: &str) -> Result<(), Errno> {
        self.enter(now, 0, Context::Process);
        self.commands += 1;
        let queue = path.strip_prefix(QUEUES).and_then(|rest| rest.strip_prefix("tx-"));
        let (queue, file) = queue.and_then(|rest| rest.split_once('/')).ok_or(Errno::ENOENT)?;
        let queue: u16 = queue.parse().map_err(|_| Errno::ENOENT)?;
        let text = text.trim_end_matches('\n');
        match file {
            "xps_cpus" => self.set_xps_cpus(queue, bitmap_parse(text, self.cpus.len())?),
            "xps_rxqs" => self.set_xps_rxqs(queue, bitmap_parse(text, usize::from(MAX_QUEUE_PAIRS))?),
            "byte_queue_limits/limit_min" if usize::from(queue) < self.dev.real_num_tx_queues => {
                let bytes = text.parse::<u32>().map_err(|_| Errno::EINVAL)?;
                self.dev.queues[usize::from(queue)].change_limit_min(u64::from(bytes));
                Ok(())
            }
            _ => Err(Errno::ENOENT),
        }
    }
}

/// `bitmap_parse` for a mask of `bits`: words of 32 bits, the last one first, no more of them than it takes, zero or not.
fn bitmap_parse(text: &str, bits: usize) -> Result<u64, Errno> {
    let mut mask = 0u64;
    for (at, word) in text.trim().rsplit(',').enumerate() {
        if at >= bits.div_ceil(32) || word.len() > 8 {
            return Err(Errno::EOVERFLOW);
        }
        let word = u32::from_str_radix(word, 16).map_err(|_| Errno::EINVAL)?;
        mask |= u64::from(word) << (32 * at);
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one("1", Ok(1))]
    #[case::with_leading_zeros("00000003", Ok(3))]
    #[case::two_words("1,00000000", Ok(1 << 32))]
    #[case::nobody("0", Ok(0))]
    #[case::not_hexadecimal("0x1", Err(Errno::EINVAL))]
    #[case::nothing("", Err(Errno::EINVAL))]
    #[case::three_words("1,0,0", Err(Errno::EOVERFLOW))]
    #[case::the_last_word_is_read_first("x,0,0", Err(Errno::EOVERFLOW))]
    fn a_mask_is_read_as_the_kernel_does(#[case] text: &str, #[case] mask: Result<u64, Errno>) {
        assert_eq!(bitmap_parse(text, 64), mask);
    }

    #[test]
    fn a_few_bits_have_one_word() {
        assert_eq!(bitmap_parse("00000000,00000001", 4), Err(Errno::EOVERFLOW));
        assert_eq!(bitmap_parse("10", 4), Ok(0x10), "whether there is such a CPU is asked later");
    }
}
