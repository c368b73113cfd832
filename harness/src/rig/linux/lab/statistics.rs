//! The counters that a driver keeps itself, as `ethtool -S` prints them.

use super::super::tap::DEVICE;
use super::program::output;
use crate::rig::{Reading, Readings, RigError};

/// The driver's counters of eth0 in the namespace of the calling thread, by the driver's names.
///
/// # Errors
/// [`RigError::Missing`] when the driver has none.
pub fn statistics() -> Result<Readings, RigError> {
    let text = output(&["ethtool", "-S", DEVICE]).map_err(RigError::Missing)?;
    Ok(counters(&text))
}

/// `     tx_packets: 1`.
fn counters(text: &str) -> Readings {
    let pairs = text.lines().skip(1).filter_map(|line| line.rsplit_once(':'));
    pairs
        .filter_map(|(name, value)| {
            Some((name.trim().to_owned(), Reading::Number(value.trim().parse().ok()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_driver() {
        let readings = counters("NIC statistics:\n     tx_packets: 3\n     [0]: rx_ucast: 7\n");
        assert_eq!(readings.get("tx_packets"), Some(&Reading::Number(3)));
        assert_eq!(readings.get("[0]: rx_ucast"), Some(&Reading::Number(7)));
    }
}
