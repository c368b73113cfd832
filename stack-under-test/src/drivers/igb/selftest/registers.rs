//! The register test of `ethtool -t` (`igb_reg_test` for the 82576): what is written must be there when it is read.

use super::super::Igb;
use super::super::regs::*;
use crate::netdev::DriverCtx;

/// What is done with a register.
#[derive(Clone, Copy)]
enum Kind {
    /// Four patterns are written and read back.
    Pattern,
    /// One value is written and read back.
    SetAndCheck,
    /// It is written only.
    Write,
}

/// Registers of a kind: the first, how many, how far apart; which bits are compared, and which are written.
struct Row(Kind, u32, (u32, u32), u32, u32);

const ALL: u32 = u32::MAX;
const PATTERNS: [u32; 4] = [0x5A5A_5A5A, 0xA5A5_A5A5, 0, ALL];
/// Bits of STATUS that a write must not change.
const STATUS_TOGGLE: u32 = 0x7FFF_F3FF;
/// Queues 0 to 3 where the 82575 had them, the others where the 82576 has them.
const FIRST: (u32, u32) = (4, 0x100);
const OTHERS: (u32, u32) = (12, 0x40);
const RDBAL: u32 = 0x2800;
const TDBAL: u32 = 0x3800;

const TABLE: &[Row] = &[
    Row(Kind::Pattern, FCAL, (1, 0), ALL, ALL),
    Row(Kind::Pattern, FCAH, (1, 0), 0xFFFF, ALL),
    Row(Kind::Pattern, FCT, (1, 0), 0xFFFF, ALL),
    Row(Kind::Pattern, VET, (1, 0), ALL, ALL),
    Row(Kind::Pattern, RDBAL, FIRST, 0xFFFF_FF80, ALL),
    Row(Kind::Pattern, RDBAL + Q_BAH, FIRST, ALL, ALL),
    Row(Kind::Pattern, RDBAL + Q_LEN, FIRST, 0x000F_FFF0, 0x000F_FFFF),
    Row(Kind::Pattern, rxq(4), OTHERS, 0xFFFF_FF80, ALL),
    Row(Kind::Pattern, rxq(4) + Q_BAH, OTHERS, ALL, ALL),
    Row(Kind::Pattern, rxq(4) + Q_LEN, OTHERS, 0x000F_FFF0, 0x000F_FFFF),
    // The tail of a queue that is disabled cannot be written.
    Row(Kind::Write, RDBAL + Q_DCTL, FIRST, 0, DCTL_ENABLE),
    Row(Kind::Write, rxq(4) + Q_DCTL, OTHERS, 0, DCTL_ENABLE),
    Row(Kind::Pattern, RDBAL + Q_TAIL, FIRST, 0xFFFF, 0xFFFF),
    Row(Kind::Pattern, rxq(4) + Q_TAIL, OTHERS, 0xFFFF, 0xFFFF),
    Row(Kind::Write, RDBAL + Q_DCTL, FIRST, 0, 0),
    Row(Kind::Write, rxq(4) + Q_DCTL, OTHERS, 0, 0),
    Row(Kind::Pattern, FCRTH, (1, 0), 0xFFF0, 0xFFF0),
    Row(Kind::Pattern, FCTTV, (1, 0), 0xFFFF, 0xFFFF),
    Row(Kind::Pattern, TIPG, (1, 0), 0x3FFF_FFFF, 0x3FFF_FFFF),
    Row(Kind::Pattern, TDBAL, FIRST, 0xFFFF_FF80, ALL),
    Row(Kind::Pattern, TDBAL + Q_BAH, FIRST, ALL, ALL),
    Row(Kind::Pattern, TDBAL + Q_LEN, FIRST, 0x000F_FFF0, 0x000F_FFFF),
    Row(Kind::Pattern, txq(4), OTHERS, 0xFFFF_FF80, ALL),
    Row(Kind::Pattern, txq(4) + Q_BAH, OTHERS, ALL, ALL),
    Row(Kind::Pattern, txq(4) + Q_LEN, OTHERS, 0x000F_FFF0, 0x000F_FFFF),
    Row(Kind::SetAndCheck, RCTL, (1, 0), ALL, 0),
    Row(Kind::SetAndCheck, RCTL, (1, 0), 0x04CF_B0FE, 0x003F_FFFB),
    Row(Kind::SetAndCheck, RCTL, (1, 0), 0x04CF_B0FE, ALL),
    Row(Kind::SetAndCheck, TCTL, (1, 0), ALL, 0),
    Row(Kind::Pattern, RAL0, (16, 8), ALL, ALL),
    Row(Kind::Pattern, RAH0, (16, 8), 0x83FF_FFFF, ALL),
    Row(Kind::Pattern, ral(16), (8, 8), ALL, ALL),
    Row(Kind::Pattern, ral(16) + 4, (8, 8), 0x83FF_FFFF, ALL),
    Row(Kind::Pattern, MTA, (128, 4), ALL, ALL),
];

impl Igb {
    /// `igb_reg_test`: 0, or the offset of the first register that fails (1 for STATUS).
    pub(super) fn reg_test(&mut self, ctx: &mut DriverCtx<'_>) -> u64 {
        let before = self.hw.rd32(ctx.bus, STATUS);
        self.hw.wr32(ctx.bus, STATUS, STATUS_TOGGLE);
        let after = self.hw.rd32(ctx.bus, STATUS);
        if (before ^ after) & STATUS_TOGGLE != 0 {
            return 1;
        }
        self.hw.wr32(ctx.bus, STATUS, before);
        for &Row(kind, first, (count, stride), mask, write) in TABLE {
            for register in (0..count).map(|n| first + n * stride) {
                let holds = match kind {
                    Kind::Pattern => {
                        PATTERNS.iter().all(|pattern| self.keeps(ctx, register, mask, pattern & write))
                    }
                    Kind::SetAndCheck => self.keeps(ctx, register, mask, write & mask),
                    Kind::Write => {
                        self.hw.wr32(ctx.bus, register, write);
                        true
                    }
                };
                if !holds {
                    self.disable_all(ctx);
                    return u64::from(register);
                }
            }
        }
        0
    }

    /// What was enabled for the test of the tails has neither ring nor buffers.
    fn disable_all(&mut self, ctx: &mut DriverCtx<'_>) {
        for (first, (count, stride)) in [(RDBAL + Q_DCTL, FIRST), (rxq(4) + Q_DCTL, OTHERS)] {
            (0..count).for_each(|n| self.hw.wr32(ctx.bus, first + n * stride, 0));
        }
    }

    fn keeps(&mut self, ctx: &mut DriverCtx<'_>, register: u32, mask: u32, value: u32) -> bool {
        self.hw.wr32(ctx.bus, register, value);
        self.hw.rd32(ctx.bus, register) & mask == value & mask
    }
}
