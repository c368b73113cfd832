//! What the tests of TCP share.

use crate::bus::{Bus, Direction};
use crate::dma::DmaMemory;
use crate::skb::PoolConfig;
use crate::stack::{Config, Stack};
use crate::tcp::coalesce::Received;
use crate::tcp::sock::TcpSock;
use alloc::boxed::Box;

/// A machine without a device.
pub(crate) struct NoDevice;

impl Bus for NoDevice {
    fn read32(&mut self, _: u32) -> u32 {
        0
    }
    fn write32(&mut self, _: u32, _: u32) {}
    fn dma_map(&mut self, _: u64, _: u32, _: Direction) {}
    fn dma_unmap(&mut self, _: u64, _: u32) {}
}

/// A stack without a device that is up.
pub(crate) fn bare_stack(seed: u64, pool: PoolConfig) -> Stack {
    let config = Config { seed, pool, ..Config::default() };
    Stack::new(&config, DmaMemory::zeroed(pool.bytes(), 0x1000_0000), Box::new(NoDevice))
}

/// A socket that is connected to nothing.
pub(crate) fn idle_sock() -> TcpSock {
    bare_stack(0, PoolConfig { skbs: 4, heads: 4, pages: 1, coherent_bytes: 4096 })
        .tcp_new_sock(0, Default::default())
}

/// The packet of a received segment, as igb hands it up and TCP has taken the headers off; its bytes count from `seq`.
pub(crate) fn received(stack: &mut Stack, seq: u32, len: usize) -> Received {
    let buf = stack.skbs.alloc_head().expect("memory");
    let skb = stack.skbs.build_skb(buf, 0, 54 + len).expect("memory");
    stack.skbs.pull(&skb, 54);
    for (byte, value) in stack.skbs.linear_mut(&skb).iter_mut().zip(seq..) {
        *byte = value as u8;
    }
    stack.tcp_received(skb, seq, seq + len as u32, false)
}
