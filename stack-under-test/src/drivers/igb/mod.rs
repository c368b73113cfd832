//! The igb driver.
