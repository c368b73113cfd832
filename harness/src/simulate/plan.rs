//! What a seed chooses.

use super::dice::Dice;
use std::fmt;

/// What a seed may choose, and what it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of frames that are lost, in thousandths, instead of what the seed chooses.
    pub loss: Option<u32>,
    /// The most bytes that one side of a connection sends.
    pub bytes: u64,
}

/// The most bytes of a side, unless told otherwise.
pub const DEFAULT_BYTES: u64 = 20_000;
/// From this loss on, in thousandths, a connection may run out of retransmissions.
pub const MAY_TIME_OUT: u32 = 80;

impl Default for Limits {
    fn default() -> Self {
        Self { loss: None, bytes: DEFAULT_BYTES }
    }
}

/// What the wire does. Shares are in thousandths of all frames, times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WirePlan {
    /// Lost.
    pub loss: u32,
    /// Arrive twice.
    pub duplicate: u32,
    /// Arrive later than those behind them.
    pub reorder: u32,
    /// Arrive with a few bits turned over.
    pub corrupt: u32,
    /// How long every frame takes.
    pub delay: u64,
    /// How much longer some take.
    pub jitter: u64,
    /// From then on, nothing arrives.
    pub cut_at: Option<u64>,
}

/// A host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPlan {
    /// Its CPUs.
    pub cpus: u8,
    /// What an administrator sets before the first step.
    pub commands: Vec<String>,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Each side shuts down when it has sent everything, and closes after the end of the other's stream.
    Orderly,
    /// The closer shuts down when it has sent everything; the other sends only after that.
    Half,
    /// The closer closes at once when it has sent everything; the other sends nothing.
    Close,
    /// The same with SO_LINGER of some seconds.
    Linger,
    /// The closer resets (SO_LINGER of 0) in the middle.
    Reset,
    /// The closer closes in the middle, whether it has read everything or not.
    Unread,
}

/// One side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidePlan {
    /// Bytes that it sends.
    pub bytes: u64,
    /// Bytes of a `send`.
    pub write: usize,
    /// Bytes of a `recv`.
    pub read: usize,
    /// Between two `recv`, in nanoseconds; 0: as fast as it can.
    pub pause: u64,
    /// What is set on the socket before it connects or listens.
    pub options: Vec<(&'static str, &'static str, i32)>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPlan {
    /// The host that connects.
    pub client: usize,
    /// When.
    pub at: u64,
    /// The client, then the server.
    pub sides: [SidePlan; 2],
    /// The side that ends it.
    pub closer: usize,
    /// How.
    pub ending: Ending,
}

/// Everything that a seed chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    limits: Limits,
    /// The wire.
    pub wire: WirePlan,
    /// The hosts.
    pub hosts: [HostPlan; 2],
    /// The connections.
    pub connections: Vec<ConnectionPlan>,
}

impl Plan {
    /// What this seed chooses.
    #[must_use]
    pub fn new(seed: u64, limits: &Limits) -> Self {
        let mut dice = Dice::new(seed, 1);
        let mut wire = wire(&mut dice);
        let hosts = [host(&mut dice), host(&mut dice)];
        let count = if dice.chance(700) { 1 } else { dice.between(2, 4) };
        let connections = (0..count).map(|_| connection(&mut dice, limits)).collect();
        wire.loss = limits.loss.unwrap_or(wire.loss);
        Self { seed, limits: limits.clone(), wire, hosts, connections }
    }

    /// A plan that somebody made up.
    #[must_use]
    pub fn made_up(wire: WirePlan, hosts: [HostPlan; 2], connections: Vec<ConnectionPlan>) -> Self {
        Self { seed: 1, limits: Limits::default(), wire, hosts, connections }
    }

    /// Whether connections may end otherwise than they were meant to.
    #[must_use]
    pub fn may_time_out(&self) -> bool {
        self.wire.cut_at.is_some() || self.wire.loss >= MAY_TIME_OUT
    }

    /// The command that does this again.
    #[must_use]
    pub fn again(&self) -> String {
        let mut command = format!("wireproof simulate --seed {}", self.seed);
        if let Some(loss) = self.limits.loss {
            command += &format!(" --loss {}.{}", loss / 10, loss % 10);
        }
        if self.limits.bytes != DEFAULT_BYTES {
            command += &format!(" --bytes {}", self.limits.bytes);
        }
        command
    }
}

fn wire(dice: &mut Dice) -> WirePlan {
    let loss = match dice.below(20) {
        0..6 => 0,
        6..14 => dice.between(1, 20),
        14..19 => dice.between(20, 79),
        _ => dice.between(80, 250),
    } as u32;
    let delay = match dice.below(10) {
        0..4 => dice.between(1_000, 100_000),
        4..8 => dice.between(100_000, 20_000_000),
        _ => dice.between(20_000_000, 300_000_000),
    };
    let mut some = |most: u64| if dice.chance(500) { dice.between(1, most) as u32 } else { 0 };
    let (duplicate, reorder, corrupt) = (some(100), some(200), some(50));
    let jitter = if dice.chance(300) { dice.below(delay) } else { 0 };
    let cut_at = dice.chance(30).then(|| dice.below(3_000_000_000));
    WirePlan { loss, duplicate, reorder, corrupt, delay, jitter, cut_at }
}

fn host(dice: &mut Dice) -> HostPlan {
    let mut commands = Vec::new();
    let mut add = |dice: &mut Dice, permille: u32, command: &dyn Fn(&mut Dice) -> String| {
        if dice.chance(permille) {
            commands.push(command(dice));
        }
    };
    add(dice, 300, &|dice| {
        format!("ip link set dev eth0 mtu {}", dice.of(&[576, 1000, 1280, 1492, 4000, 9000]))
    });
    for feature in ["tso", "gso", "gro", "sg", "tx", "rx"] {
        add(dice, 200, &|_| format!("ethtool -K eth0 {feature} off"));
    }
    add(dice, 150, &|dice| format!("ethtool -C eth0 rx-usecs {}", dice.of(&[0, 10, 50, 250])));
    add(dice, 100, &|dice| format!("ethtool -G eth0 rx {} tx {}", dice.of(&[80, 128]), dice.of(&[80, 128])));
    for (key, permille) in [("timestamps", 200), ("sack", 200), ("window_scaling", 200), ("dsack", 100)] {
        add(dice, permille, &|_| format!("sysctl -w net.ipv4.tcp_{key}=0"));
    }
    add(dice, 300, &|dice| format!("sysctl -w net.ipv4.tcp_ecn={}", dice.below(2)));
    add(dice, 500, &|_| "sysctl -w net.ipv4.tcp_congestion_control=cubic".to_owned());
    add(dice, 100, &|_| "sysctl -w net.ipv4.tcp_slow_start_after_idle=0".to_owned());
    HostPlan { cpus: dice.of(&[1, 1, 2, 4]), commands }
}

fn side(dice: &mut Dice, limits: &Limits) -> SidePlan {
    let most = match dice.below(4) {
        0 => 3,
        1 => 2000,
        _ => limits.bytes,
    };
    let bytes = dice.below(most.min(limits.bytes) + 1);
    let least = (bytes / 500).max(1);
    let mut chunk = || dice.of(&[1, 100, 536, 1460, 4096, 20_000, 70_000]).max(least) as usize;
    let (write, read) = (chunk(), chunk());
    let pause = if dice.chance(200) { dice.between(10_000, 50_000_000) } else { 0 };
    // Whoever waits for a peer that is gone finds out.
    let mut options = vec![
        ("SOL_SOCKET", "SO_KEEPALIVE", 1),
        ("SOL_TCP", "TCP_KEEPIDLE", dice.between(1, 30) as i32),
        ("SOL_TCP", "TCP_KEEPINTVL", dice.between(1, 10) as i32),
        ("SOL_TCP", "TCP_KEEPCNT", 9),
    ];
    for name in ["SO_SNDBUF", "SO_RCVBUF"] {
        if dice.chance(400) {
            options.push(("SOL_SOCKET", name, dice.of(&[1, 2304, 4096, 8192, 30_000, 200_000])));
        }
    }
    if dice.chance(300) {
        options.push(("SOL_TCP", "TCP_NODELAY", 1));
    }
    if dice.chance(100) {
        options.push(("SOL_TCP", "TCP_MAXSEG", dice.between(88, 1460) as i32));
    }
    if dice.chance(50) {
        options.push(("SOL_TCP", "TCP_WINDOW_CLAMP", dice.between(2000, 60_000) as i32));
    }
    SidePlan { bytes, write, read, pause, options }
}

fn connection(dice: &mut Dice, limits: &Limits) -> ConnectionPlan {
    use Ending as E;
    let mut sides = [side(dice, limits), side(dice, limits)];
    let ending = dice.of(&[
        E::Orderly,
        E::Orderly,
        E::Orderly,
        E::Half,
        E::Half,
        E::Close,
        E::Close,
        E::Linger,
        E::Reset,
        E::Unread,
    ]);
    let closer = dice.below(2) as usize;
    if matches!(ending, E::Close | E::Linger) {
        sides[1 - closer].bytes = 0;
    }
    let at = if dice.chance(500) { 0 } else { dice.below(100_000_000) };
    ConnectionPlan { client: dice.below(2) as usize, at, sides, closer, ending }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:?}", self.wire)?;
        for (nth, host) in self.hosts.iter().enumerate() {
            writeln!(f, "  host {nth}: {} CPUs; {}", host.cpus, host.commands.join("; "))?;
        }
        for (nth, c) in self.connections.iter().enumerate() {
            let closer = ["client", "server"][c.closer];
            writeln!(
                f,
                "  connection {nth}: from host {} at {} ns, {:?} by the {closer}",
                c.client, c.at, c.ending
            )?;
            for (side, name) in c.sides.iter().zip(["client", "server"]) {
                let SidePlan { bytes, write, read, pause, options } = side;
                let options: Vec<_> =
                    options.iter().map(|(_, name, value)| format!("{name}={value}")).collect();
                let options = options.join(" ");
                writeln!(
                    f,
                    "    {name}: {bytes} bytes, write {write}, read {read}, pause {pause} ns; {options}"
                )?;
            }
        }
        Ok(())
    }
}
