//! Files of sysfs that can be written: those of a transmit queue of `eth0`.

use super::Stack;
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
            "xps_cpus" => self.set_xps_cpus(queue, cpumask(text)?),
            "xps_rxqs" => self.set_xps_rxqs(queue, cpumask(text)?),
            "byte_queue_limits/limit_min" if usize::from(queue) < self.dev.real_num_tx_queues => {
                let bytes = text.parse::<u32>().map_err(|_| Errno::EINVAL)?;
                self.dev.queues[usize::from(queue)].change_limit_min(u64::from(bytes));
                Ok(())
            }
            _ => Err(Errno::ENOENT),
        }
    }
}

/// `bitmap_parse`.
fn cpumask(text: &str) -> Result<u64, Errno> {
    let mut mask = 0u64;
    for word in text.trim().split(',') {
        if word.is_empty() || word.len() > 8 {
            return Err(if word.is_empty() { Errno::EINVAL } else { Errno::EOVERFLOW });
        }
        let word = u32::from_str_radix(word, 16).map_err(|_| Errno::EINVAL)?;
        if mask >> 32 != 0 {
            return Err(Errno::EOVERFLOW);
        }
        mask = mask << 32 | u64::from(word);
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
    fn a_mask_is_read_as_the_kernel_does(#[case] text: &str, #[case] mask: Result<u64, Errno>) {
        assert_eq!(cpumask(text), mask);
    }
}
