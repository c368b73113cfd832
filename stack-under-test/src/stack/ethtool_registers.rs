//! `ethtool -d`: the registers of an igb, as ethtool 6.1 lists them (its output for Linux 6.12's igb, recorded).

use super::Stack;
use alloc::format;
use alloc::string::String;

/// A line of the list, or as many as there are registers of a kind.
struct Line {
    offset: u32,
    name: &'static str,
    about: &'static str,
    /// How many, and how far apart.
    count: u32,
    stride: u32,
}

const fn one(offset: u32, name: &'static str, about: &'static str) -> Line {
    many(offset, name, about, (1, 0))
}

const fn many(offset: u32, name: &'static str, about: &'static str, (count, stride): (u32, u32)) -> Line {
    Line { offset, name, about, count, stride }
}

/// A field that is shown in words: its name, where it stands, how wide it is, and what its values are called.
struct Field(&'static str, u32, u32, &'static [&'static str]);

const SWITCH: &[&str] = &["disabled", "enabled"];
const BIT: &[&str] = &["0", "1"];
const NO_YES: &[&str] = &["no", "yes"];
const SPEED: &[&str] = &["10Mb/s", "100Mb/s", "1000Mb/s", "1000Mb/s"];

/// Registers with their fields, before the list or between its parts.
const CTRL: &[Field] = &[
    Field("Invert Loss-Of-Signal:", 7, 1, NO_YES),
    Field("Receive flow control:", 27, 1, SWITCH),
    Field("Transmit flow control:", 28, 1, SWITCH),
    Field("VLAN mode:", 30, 1, SWITCH),
    Field("Set link up:", 6, 1, BIT),
    Field("D3COLD WakeUp capability advertisement:", 20, 1, SWITCH),
    Field("Auto speed detect:", 5, 1, SWITCH),
    Field("Speed select:", 8, 2, SPEED),
    Field("Force speed:", 11, 1, NO_YES),
    Field("Force duplex:", 12, 1, NO_YES),
];
const STATUS: &[Field] = &[
    Field("Duplex:", 0, 1, &["half", "full"]),
    Field("Link up:", 1, 1, &["no link config", "link config"]),
    Field("Transmission:", 4, 1, &["on", "paused"]),
    Field("DMA clock gating:", 31, 1, SWITCH),
    Field("TBI mode:", 5, 1, SWITCH),
    Field("Link speed:", 6, 2, SPEED),
];
const RCTL: &[Field] = &[
    Field("Receiver:", 1, 1, SWITCH),
    Field("Store bad packets:", 2, 1, SWITCH),
    Field("Unicast promiscuous:", 3, 1, SWITCH),
    Field("Multicast promiscuous:", 4, 1, SWITCH),
    Field("Long packet:", 5, 1, SWITCH),
    Field("Descriptor minimum threshold size:", 8, 2, &["1/2", "1/4", "1/8", "reserved"]),
    Field("Broadcast accept mode:", 15, 1, &["ignore", "accept"]),
    Field("VLAN filter:", 18, 1, SWITCH),
    Field("Cononical form indicator:", 19, 1, SWITCH),
    Field("Discard pause frames:", 22, 1, &["filtered", "ignored"]),
    Field("Pass MAC control frames:", 23, 1, &["don't pass", "pass"]),
    Field("Loopback mode:", 6, 2, &["normal", "MAC loopback", "undefined", "PHY loopback"]),
    Field("Receive buffer size:", 16, 2, &["2048", "1024", "512", "256"]),
];
const TCTL: &[Field] = &[
    Field("Transmitter:", 1, 1, SWITCH),
    Field("Pad short packets:", 3, 1, SWITCH),
    Field("Software XOFF Transmission:", 22, 1, SWITCH),
    Field("Re-transmit on late collision:", 24, 1, SWITCH),
];

const LIST: &[Line] = &[
    one(0x00018, "CTRL_EXT", "Extended device control"),
    one(0x00018, "MDIC", "MDI control"),
    one(0x00024, "SCTL", "SERDES ANA"),
    one(0x00034, "CONNSW", "Copper/Fiber switch control"),
    one(0x00038, "VET", "VLAN Ether type"),
    one(0x00E00, "LEDCTL", "LED control"),
    one(0x01000, "PBA", "Packet buffer allocation"),
    one(0x01008, "PBS", "Packet buffer size"),
    one(0x01048, "FRTIMER", "Free running timer"),
    one(0x0104C, "TCPTIMER", "TCP timer"),
    one(0x00010, "EEC", "EEPROM/FLASH control"),
    one(0x01580, "EICR", "Extended interrupt cause"),
    one(0x01520, "EICS", "Extended interrupt cause set"),
    one(0x01524, "EIMS", "Extended interrup set/read"),
    one(0x01528, "EIMC", "Extended interrupt mask clear"),
    one(0x0152C, "EIAC", "Extended interrupt auto clear"),
    one(0x01530, "EIAM", "Extended interrupt auto mask"),
    one(0x01500, "ICR", "Interrupt cause read"),
    one(0x01504, "ICS", "Interrupt cause set"),
    one(0x01508, "IMS", "Interrupt mask set/read"),
    one(0x0150C, "IMC", "Interrupt mask clear"),
    one(0x04100, "IAC", "Interrupt assertion count"),
    one(0x01510, "IAM", "Interr acknowledge auto-mask"),
    one(0x00028, "FCAL", "Flow control address low"),
    one(0x0002C, "FCAH", "Flow control address high"),
    one(0x00170, "FCTTV", "Flow control tx timer value"),
    one(0x02160, "FCRTL", "Flow control rx threshold low"),
    one(0x02168, "FCRTH", "Flow control rx threshold high"),
    one(0x02460, "FCRTV", "Flow control refresh threshold"),
    one(0x05000, "RXCSUM", "Receive checksum control"),
    one(0x05004, "RLPML", "Receive long packet max length"),
    one(0x05008, "RFCTL", "Receive filter control"),
    one(0x05818, "MRQC", "Multiple rx queues command"),
    one(0x0581C, "VMD_CTL", "VMDq control"),
    one(0x00404, "TCTL_EXT", "Transmit control extended"),
    one(0x00410, "TIPG", "Transmit IPG"),
    one(0x03590, "DTXCTL", "DMA tx control"),
    one(0x05800, "WUC", "Wake up control"),
    one(0x05808, "WUFC", "Wake up filter control"),
    one(0x05810, "WUS", "Wake up status"),
    one(0x05838, "IPAV", "IP address valid"),
    one(0x04200, "PCS_CFG", "PCS configuration 0"),
    one(0x04208, "PCS_LCTL", "PCS link control"),
    one(0x0420C, "PCS_LSTS", "PCS link status"),
    one(0x04218, "PCS_ANADV", "AN advertisement"),
    one(0x0421C, "PCS_LPAB", "Link partner ability"),
    one(0x04220, "PCS_NPTX", "Next Page transmit"),
    one(0x04224, "PCS_LPABNP", "Link partner ability Next Page"),
    one(0x04000, "CRCERRS", "CRC error count"),
    one(0x04004, "ALGNERRC", "Alignment error count"),
    one(0x04008, "SYMERRS", "Symbol error count"),
    one(0x0400C, "RXERRC", "RX error count"),
    one(0x04010, "MPC", "Missed packets count"),
    one(0x04014, "SCC", "Single collision count"),
    one(0x04018, "ECOL", "Excessive collisions count"),
    one(0x0401C, "MCC", "Multiple collision count"),
    one(0x04020, "LATECOL", "Late collisions count"),
    one(0x04028, "COLC", "Collision count"),
    one(0x04030, "DC", "Defer count"),
    one(0x04034, "TNCRS", "Transmit with no CRS"),
    one(0x04038, "SEC", "Sequence error count"),
    one(0x0403C, "HTDPMC", "Host tx discrd pkts MAC count"),
    one(0x04040, "RLEC", "Receive length error count"),
    one(0x04048, "XONRXC", "XON received count"),
    one(0x0404C, "XONTXC", "XON transmitted count"),
    one(0x04050, "XOFFRXC", "XOFF received count"),
    one(0x04054, "XOFFTXC", "XOFF transmitted count"),
    one(0x04058, "FCRUC", "FC received unsupported count"),
    one(0x0405C, "PRC64", "Packets rx (64 B) count"),
    one(0x04060, "PRC127", "Packets rx (65-127 B) count"),
    one(0x04064, "PRC255", "Packets rx (128-255 B) count"),
    one(0x04068, "PRC511", "Packets rx (256-511 B) count"),
    one(0x0406C, "PRC1023", "Packets rx (512-1023 B) count"),
    one(0x04070, "PRC1522", "Packets rx (1024-max B) count"),
    one(0x04074, "GPRC", "Good packets received count"),
    one(0x04078, "BPRC", "Broadcast packets rx count"),
    one(0x0407C, "MPRC", "Multicast packets rx count"),
    one(0x04080, "GPTC", "Good packets tx count"),
    one(0x04088, "GORCL", "Good octets rx count lower"),
    one(0x0408C, "GORCH", "Good octets rx count upper"),
    one(0x04090, "GOTCL", "Good octets tx count lower"),
    one(0x04094, "GOTCH", "Good octets tx count upper"),
    one(0x040A0, "RNBC", "Receive no buffers count"),
    one(0x040A4, "RUC", "Receive undersize count"),
    one(0x040A8, "RFC", "Receive fragment count"),
    one(0x040AC, "ROC", "Receive oversize count"),
    one(0x040B0, "RJC", "Receive jabber count"),
    one(0x040B4, "MGPRC", "Management packets rx count"),
    one(0x040B8, "MGPDC", "Management pkts dropped count"),
    one(0x040BC, "MGPTC", "Management packets tx count"),
    one(0x040C0, "TORL", "Total octets received lower"),
    one(0x040C4, "TORH", "Total octets received upper"),
    one(0x040C8, "TOTL", "Total octets transmitted lower"),
    one(0x040CC, "TOTH", "Total octets transmitted upper"),
    one(0x040D0, "TPR", "Total packets received"),
    one(0x040D4, "TPT", "Total packets transmitted"),
    one(0x040D8, "PTC64", "Packets tx (64 B) count"),
    one(0x040DC, "PTC127", "Packets tx (65-127 B) count"),
    one(0x040E0, "PTC255", "Packets tx (128-255 B) count"),
    one(0x040E4, "PTC511", "Packets tx (256-511 B) count"),
    one(0x040E8, "PTC1023", "Packets tx (512-1023 B) count"),
    one(0x040EC, "PTC1522", "Packets tx (> 1024 B) count"),
    one(0x040F0, "MPTC", "Multicast packets tx count"),
    one(0x040F4, "BPTC", "Broadcast packets tx count"),
    one(0x040F8, "TSCTC", "TCP segment context tx count"),
    one(0x04100, "IAC", "Interrupt assertion count"),
    one(0x04104, "RPTHC", "Rx packets to host count"),
    one(0x04118, "HGPTC", "Host good packets tx count"),
    one(0x04128, "HGORCL", "Host good octets rx cnt lower"),
    one(0x0412C, "HGORCH", "Host good octets rx cnt upper"),
    one(0x04130, "HGOTCL", "Host good octets tx cnt lower"),
    one(0x04134, "HGOTCH", "Host good octets tx cnt upper"),
    one(0x04138, "LENNERS", "Length error count"),
    one(0x04228, "SCVPC", "SerDes/SGMII code viol pkt cnt"),
    many(0x0280C, "SRRCTL", "Split and replic rx ctl", (4, 0x100)),
    many(0x05480, "PSRTYPE", "Packet split receive type", (4, 0x4)),
    many(0x02800, "RDBAL", "Rx desc base addr low", (4, 0x100)),
    many(0x02804, "RDBAH", "Rx desc base addr high", (4, 0x100)),
    many(0x02808, "RDLEN", "Rx descriptor length", (4, 0x100)),
    many(0x02810, "RDH", "Rx descriptor head", (4, 0x100)),
    many(0x02818, "RDT", "Rx descriptor tail", (4, 0x100)),
    many(0x02828, "RXDCTL", "Rx descriptor control", (4, 0x100)),
    many(0x01680, "EITR", "Interrupt throttle", (10, 0x4)),
    many(0x05A80, "IMIR", "Immediate interrupt Rx", (8, 0x4)),
    many(0x05AA0, "IMIREXT", "Immediate interr Rx extended", (8, 0x4)),
    many(0x05400, "RAL", "Receive address low", (16, 0x8)),
    many(0x05404, "RAH", "Receive address high", (16, 0x8)),
    many(0x03800, "TDBAL", "Tx desc base address low", (4, 0x100)),
    many(0x03804, "TDBAH", "Tx desc base address high", (4, 0x100)),
    many(0x03808, "TDLEN", "Tx descriptor length", (4, 0x100)),
    many(0x03810, "TDH", "Transmit descriptor head", (4, 0x100)),
    many(0x03818, "TDT", "Transmit descriptor tail", (4, 0x100)),
    many(0x03828, "TXDCTL", "Transmit descriptor control", (4, 0x100)),
    many(0x03838, "TDWBAL", "Tx desc complete wb addr low", (4, 0x100)),
    many(0x0383C, "TDWBAH", "Tx desc complete wb addr hi", (4, 0x100)),
    many(0x03814, "DCA_TXCTRL", "Tx DCA control", (4, 0x100)),
];

impl Stack {
    /// `ethtool -d`.
    pub(super) fn show_registers(&mut self) -> String {
        let mut text = String::new();
        self.show_fields(&mut text, 0x0000, "CTRL (Device control register)", CTRL);
        self.show_fields(&mut text, 0x0008, "STATUS (Device status register)", STATUS);
        text += &format!("       {:46} PCI Express\n", "Bus type:");
        self.show_fields(&mut text, 0x0100, "RCTL (Receive control register)", RCTL);
        self.show_fields(&mut text, 0x2808, "RDLEN  (Receive desc length)", &[]);
        self.show_fields(&mut text, 0x2810, "RDH    (Receive desc head)", &[]);
        self.show_fields(&mut text, 0x2818, "RDT    (Receive desc tail)", &[]);
        self.show_fields(&mut text, 0x0400, "TCTL (Transmit ctrl register)", TCTL);
        self.show_fields(&mut text, 0x3808, "TDLEN       (Transmit desc length)", &[]);
        self.show_fields(&mut text, 0x3810, "TDH         (Transmit desc head)", &[]);
        self.show_fields(&mut text, 0x3818, "TDT         (Transmit desc tail)", &[]);
        for line in LIST {
            for n in 0..line.count {
                let number = match line.count {
                    1 => String::new(),
                    11.. => format!("{n:02}"),
                    _ => format!("{n}"),
                };
                let name = format!("{}{number}", line.name);
                let name = format!("{name:11} ({}{number})", line.about);
                self.show_fields(&mut text, line.offset + n * line.stride, &name, &[]);
            }
        }
        text
    }

    fn show_fields(&mut self, text: &mut String, offset: u32, name: &str, fields: &[Field]) {
        let (igb, mut ctx) = self.driver();
        let value = igb.dump(&mut ctx, offset);
        *text += &format!("0x{offset:05X}: {name:44} 0x{value:08X}\n");
        for Field(field, shift, width, words) in fields {
            let word = words[(value >> shift & ((1 << width) - 1)) as usize];
            *text += &format!("       {field:46} {word}\n");
        }
    }
}
