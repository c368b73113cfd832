//! `check:` - what is asked of counters and states, and what must be the answer.

use super::model::{
    Action, Check, CheckItem, Expected, JourneyQuery, RigKind, RouteQuery, Source, Tolerance,
};
use super::problem::{Problem, choose};
use super::reader::Read;
use super::rigs::Rigs;
use super::shape::{CHECK, IGB, JOURNEY, LIMIT, PACKET, RIGS, ROUTE, VIRTUAL};
use super::symbols::{NETDEV, NUD_STATES, QDISC, SNMP, SOFTIRQS, TCP_INFO, TCP_STATES};
use super::trial::TrialReader;
use super::yaml::{Kind, Node};
use guest::readings::TCP_CA_STATES;
use stack_under_test::netdev::IfName;

/// The keys of a check that are no source.
const LIMITS: [&str; 2] = ["rigs", "when"];

impl TrialReader<'_> {
    /// `check: {…}`; `None` when its `when:` does not hold in this row.
    pub fn check(&mut self, node: &Node) -> Read<Option<Action>> {
        let fields = self.r.fields(node, "check", &[CHECK])?;
        let rigs = fields.get("rigs").map(|node| self.rigs(node)).transpose()?;
        let holds = fields.get("when").map(|node| self.when(node)).transpose()?.unwrap_or(true);
        let mut items = Vec::new();
        let mut bad = None;
        for (key, value) in fields.entries() {
            let name = key.text().unwrap_or("");
            if LIMITS.contains(&name) {
                continue;
            }
            match self.source(name, value) {
                Ok(more) => items.extend(more),
                Err(reported) => bad = Some(reported),
            }
        }
        if let Some(reported) = bad {
            return Err(reported);
        }
        if items.is_empty() {
            let sources: Vec<_> =
                CHECK.iter().map(|key| key.name).filter(|name| !LIMITS.contains(name)).collect();
            return self.r.wrong(node, "something to check", &format!("there are: {}", sources.join(", ")));
        }
        Ok(holds.then_some(Action::Check(Check { rigs, items })))
    }

    /// A list of rigs, not empty, or `{only: [emu], because: …}`.
    pub fn rigs(&mut self, node: &Node) -> Read<Rigs> {
        let (list, clock, port, because) = match &node.kind {
            Kind::List(_) => (node, None, None, None),
            Kind::Map(_) => {
                let fields = self.r.fields(node, "rigs", &[LIMIT])?;
                let because = self.r.need(&fields, "because").and_then(|why| self.reason(why))?;
                let clock = fields.get("clock");
                clock.map(|clock| self.r.one_of(clock, VIRTUAL)).transpose()?;
                let port = fields.get("port");
                port.map(|port| self.r.one_of(port, IGB)).transpose()?;
                (self.r.need(&fields, "only")?, clock, port, Some(because))
            }
            Kind::Scalar(_) => {
                let help = "write `[emu, qemu]`, or `{only: [emu, qemu], because: \"…\"}`";
                return self.r.wrong(node, "a list of rigs", help);
            }
        };
        let names = self.r.some_of(list, RIGS)?;
        if names.is_empty() {
            return self.r.wrong(list, "at least one rig", "leave `rigs:` out for all rigs");
        }
        if let Some(clock) = clock.filter(|_| !names.contains(&"qemu")) {
            let help = "leave it out: qemu alone has a choice of clocks";
            return self.r.wrong(clock, "nothing where qemu is not among the rigs", help);
        }
        if let Some(port) = port.filter(|_| !names.contains(&"linux")) {
            let help = "leave it out: linux alone has a choice of ports";
            return self.r.wrong(port, "nothing where linux is not among the rigs", help);
        }
        let (is_virtual, is_igb) = (clock.is_some(), port.is_some());
        Ok(Rigs { only: names.into_iter().map(rig).collect(), is_virtual, is_igb, because })
    }

    /// A text that says something.
    fn reason(&mut self, node: &Node) -> Read<String> {
        let text = self.r.text(node)?.trim();
        if text.is_empty() {
            return self.r.wrong(node, "a reason", "say what the other rigs cannot do");
        }
        Ok(text.to_owned())
    }

    /// Whether the row of the matrix has these values.
    fn when(&mut self, node: &Node) -> Read<bool> {
        let entries = self.r.map(node, "write `when: {mtu: 1500}`")?;
        let mut holds = true;
        for (key, value) in entries {
            let name = key.text().unwrap_or("");
            let Some(actual) = self.variables.get(name) else {
                let problem = Problem::at(&key.span, format!("the matrix has no `{name}`"))
                    .label("not in `matrix:`")
                    .help(choose(name, self.variables.names()));
                return Err(self.r.report(problem));
            };
            self.variables.mark_used(name);
            let possible =
                self.matrix.iter().find(|(key, _)| key == name).map_or(&[][..], |(_, values)| values);
            if !possible.iter().any(|other| other.text().is_some() && other.text() == value.text()) {
                let known = possible.iter().filter_map(Node::text);
                let problem = Problem::at(&value.span, format!("`{name}` is never {}", value.describe()))
                    .label("no row has it")
                    .help(choose(value.text().unwrap_or(""), known));
                return Err(self.r.report(problem));
            }
            holds &= actual.text() == value.text();
        }
        Ok(holds)
    }

    fn source(&mut self, name: &str, value: &Node) -> Read<Vec<CheckItem>> {
        match name {
            "netdev" => self.counters(Source::Netdev, value),
            "ethtool" => self.counters(Source::Ethtool, value),
            "snmp" => self.counters(Source::Snmp, value),
            "softirqs" => self.counters(Source::Softirqs, value),
            "interrupts" => self.counters(Source::Interrupts, value),
            "skb" => self.counters(Source::Skb, value),
            "qdisc" => self.groups(Source::Qdisc, value),
            "nft" => self.groups(Source::Nft, value),
            "neigh" => self.neighbours(value),
            "route" => self.route(value),
            "journey" => self.journey(value),
            _ => self.tcp_info(value),
        }
    }

    fn counters(&mut self, source: Source, node: &Node) -> Read<Vec<CheckItem>> {
        let entries = self.r.map(node, "counters with their values, such as `{tx_packets: 1}`")?;
        let mut items = Vec::new();
        for (key, value) in entries {
            let name = self.r.word(key)?;
            self.counter_name(&source, key, name)?;
            let expected = self.r.expected_number(value)?;
            items.push(item(&source, name, value, expected));
        }
        Ok(items)
    }

    /// Finds misspelt counters, where their names are known.
    fn counter_name(&mut self, source: &Source, key: &Node, name: &str) -> Read<()> {
        let (known, what): (&[&str], &str) = match source {
            Source::Netdev => (NETDEV, name.split_once('/').map_or(name, |(_, counter)| counter)),
            Source::Softirqs => (SOFTIRQS, name.split_once('/').map_or(name, |(kind, _)| kind)),
            Source::Snmp => (SNMP, name.split_once('.').map_or(name, |(group, _)| group)),
            Source::Qdisc => (QDISC, name),
            Source::Nft => (&["packets", "bytes"], name),
            Source::Skb => (&["in_flight", "copied_bytes"], name),
            _ => return Ok(()),
        };
        let cpu = name.split_once('/').map(|(_, cpu)| cpu).filter(|_| *source == Source::Softirqs);
        let mut problem =
            Problem::at(&key.span, format!("there is no counter `{name}`")).label("unknown counter");
        if !known.contains(&what) {
            problem = problem.help(choose(what, known.iter().copied()));
        } else if *source == Source::Snmp
            && name.split_once('.').is_none_or(|(_, counter)| counter.is_empty())
        {
            problem = problem.help("write the group and the counter: `Udp.OutDatagrams`");
        } else if let (Source::Netdev, Some((device, _))) = (source, name.split_once('/'))
            && IfName::parse(device).is_none()
        {
            problem = problem.help("before `/` stands a VLAN device: `eth0.100/rx_packets`");
        } else if cpu.is_some_and(|cpu| cpu.parse::<u8>().is_err()) {
            problem = problem.help("after `/` stands the number of a CPU: `NET_RX/0`");
        } else {
            return Ok(());
        }
        Err(self.r.report(problem))
    }

    /// `{"1:": {packets: 3}}`, `{filter/output/0: {packets: 1}}`
    fn groups(&mut self, source: Source, node: &Node) -> Read<Vec<CheckItem>> {
        let help = if source == Source::Qdisc {
            "`{\"1:\": {packets: 3}}`"
        } else {
            "`{filter/output/0: {packets: 1}}`"
        };
        let entries = self.r.map(node, help)?;
        let mut items = Vec::new();
        for (key, value) in entries {
            let group = self.r.word(key)?;
            let fits = match source {
                Source::Qdisc => is_handle(group),
                _ => {
                    group.split('/').count() == 3
                        && group.rsplit('/').next().is_some_and(|n| n.parse::<u32>().is_ok())
                }
            };
            if !fits {
                let wanted =
                    if source == Source::Qdisc { "`root` or a handle" } else { "`TABLE/CHAIN/INDEX`" };
                return self.r.wrong(key, wanted, help);
            }
            for counter in self.counters(source.clone(), value)? {
                items.push(CheckItem { key: format!("{group}/{}", counter.key), ..counter });
            }
        }
        Ok(items)
    }

    /// `{socket: c, state: ESTABLISHED, snd_cwnd: 10}`
    fn tcp_info(&mut self, node: &Node) -> Read<Vec<CheckItem>> {
        let entries = self.r.map(node, "`{socket: c, state: ESTABLISHED}`")?;
        let Some((_, socket)) = entries.iter().find(|(key, _)| key.text() == Some("socket")) else {
            return self.r.wrong(node, "a socket", "name it: `{socket: c, state: ESTABLISHED}`");
        };
        let source = Source::TcpInfo(self.names.socket(&mut self.r, socket)?);
        let mut items = Vec::new();
        for (key, value) in entries.iter().filter(|(key, _)| key.text() != Some("socket")) {
            let name = self.r.word(key)?;
            let expected = match name {
                "state" => Expected::Text(self.r.one_of(value, TCP_STATES)?.to_owned()),
                "ca_state" => Expected::Text(self.r.one_of(value, TCP_CA_STATES)?.to_owned()),
                _ if TCP_INFO.contains(&name) => self.r.expected_number(value)?,
                _ => {
                    let problem = Problem::at(&key.span, format!("TCP_INFO has no `{name}`"));
                    let help = choose(name, TCP_INFO.iter().copied());
                    return Err(self.r.report(problem.label("unknown field").help(help)));
                }
            };
            items.push(item(&source, name, value, expected));
        }
        if items.is_empty() {
            return self.r.wrong(node, "something to check", "such as `state: ESTABLISHED`");
        }
        Ok(items)
    }

    /// `{ADDRESS: {state: …, lladdr: …}}`, `{ADDRESS: absent}`
    fn neighbours(&mut self, node: &Node) -> Read<Vec<CheckItem>> {
        let entries = self.r.map(node, "`{\"${peer.ip}\": {state: REACHABLE}}`")?;
        let mut items = Vec::new();
        for (key, value) in entries {
            let address = self.r.address(key)?;
            if value.text() == Some("absent") {
                items.push(item(&Source::Neigh, &format!("{address}/state"), value, Expected::Absent));
                continue;
            }
            for (key, value) in self.r.map(value, "`{state: …, lladdr: …}` or `absent`")? {
                let expected = match key.text().unwrap_or("") {
                    "state" => Expected::Text(self.r.one_of(value, NUD_STATES)?.to_owned()),
                    "lladdr" if value.text() == Some("absent") => Expected::Absent,
                    "lladdr" => Expected::Text(crate::frame::Value::Mac(self.r.mac(value)?).to_string()),
                    other => {
                        let problem = Problem::at(&key.span, format!("a neighbour has no `{other}`"))
                            .label("unknown key")
                            .help(choose(other, ["state", "lladdr"]));
                        return Err(self.r.report(problem));
                    }
                };
                let name = format!("{address}/{}", key.text().unwrap_or(""));
                items.push(item(&Source::Neigh, &name, value, expected));
            }
        }
        Ok(items)
    }

    /// `route: {to: …, via: …}`
    fn route(&mut self, node: &Node) -> Read<Vec<CheckItem>> {
        let fields = self.r.fields(node, "route", &[ROUTE])?;
        let to = self.r.need(&fields, "to")?;
        let number = |n: i64| u32::try_from(n).unwrap_or(0);
        let query = RouteQuery {
            to: self.r.address(to)?,
            from: fields.get("from").map(|node| self.r.address(node)).transpose()?,
            tos: fields
                .get("tos")
                .map(|node| self.r.number(node, 0, 255))
                .transpose()?
                .and_then(|n| n.try_into().ok()),
            mark: fields.get("mark").map(|node| self.r.number(node, 0, 0xffff_ffff)).transpose()?.map(number),
        };
        let source = Source::Route(query);
        let mut items = Vec::new();
        for name in ["via", "dev", "src", "error"] {
            let Some(value) = fields.get(name) else { continue };
            let expected = match (name, value.text()) {
                ("via", Some("none")) => Expected::Absent,
                ("via" | "src", _) => Expected::Text(self.r.address(value)?.to_string()),
                ("dev", _) => Expected::Text(self.r.word(value)?.to_owned()),
                _ => Expected::Text(self.r.errno(value)?),
            };
            items.push(item(&source, name, value, expected));
        }
        if let (Some(error), true) = (fields.key("error"), items.len() > 1) {
            let problem = Problem::at(&error.span, "a look-up that fails gives nothing else")
                .help("keep `error:`, or `via:`, `dev:` and `src:`");
            return Err(self.r.report(problem));
        }
        if items.is_empty() {
            return self.r.wrong(node, "what the look-up gives", "add `via:`, `dev:`, `src:` or `error:`");
        }
        Ok(items)
    }

    /// `journey: {packet: …, through: […], spent: {…}}`
    fn journey(&mut self, node: &Node) -> Read<Vec<CheckItem>> {
        let fields = self.r.fields(node, "journey", &[JOURNEY])?;
        let packet = self.r.need(&fields, "packet")?;
        let packet = self.r.fields(packet, "packet", &[PACKET])?;
        let payload = self.r.need(&packet, "payload")?;
        let payload = self.r.payload(payload, self.patterns)?.0.to_vec();
        let nth = packet.get("nth").map(|node| self.r.number(node, 0, 100_000)).transpose()?.unwrap_or(0);
        let source = Source::Journey(JourneyQuery { payload, nth: usize::try_from(nth).unwrap_or(0) });
        let tolerance = fields.get("tolerance").map(|node| self.r.tolerance(node)).transpose()?;
        let mut items = Vec::new();
        if let Some(value) = fields.get("through") {
            let through = self.r.texts(value)?;
            if through.is_empty() {
                return self.r.wrong(value, "at least one function", "such as `[udp_sendmsg, ip_output]`");
            }
            items.push(item(&source, "through", value, Expected::Through(through)));
        }
        if let Some(node) = fields.get("spent") {
            for (key, value) in self.r.map(node, "`{arp_queue: 50ms}`")? {
                let queue = format!("spent/{}", self.r.word(key)?);
                let expected =
                    Expected::Spent(self.r.duration(value)?, tolerance.unwrap_or(Tolerance::Default));
                items.push(item(&source, &queue, value, expected));
            }
        } else if let Some(node) = fields.get("tolerance") {
            return Err(self.r.report(super::calls::lonely_tolerance(node).help("it belongs to `spent:`")));
        }
        if let Some(value) = fields.get("dropped") {
            let reason = self.r.word(value)?;
            let named = reason.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            let expected = match reason {
                "none" => Expected::Absent,
                _ if named => Expected::Text(reason.trim_start_matches("SKB_DROP_REASON_").to_owned()),
                _ => {
                    return self.r.wrong(
                        value,
                        "a drop reason",
                        "Linux's names, such as NEIGH_FAILED, or `none`",
                    );
                }
            };
            items.push(item(&source, "dropped", value, expected));
        }
        if items.is_empty() {
            return self.r.wrong(node, "what the journey was", "add `through:`, `spent:` or `dropped:`");
        }
        Ok(items)
    }
}

fn item(source: &Source, key: &str, value: &Node, expected: Expected) -> CheckItem {
    CheckItem { at: value.span.location(), source: source.clone(), key: key.to_owned(), expected }
}

/// `root`, `1:` or `10:1`.
fn is_handle(text: &str) -> bool {
    let hex = |part: &str| part.len() <= 4 && part.bytes().all(|b| b.is_ascii_hexdigit());
    text == "root"
        || text.split_once(':').is_some_and(|(major, minor)| !major.is_empty() && hex(major) && hex(minor))
}

/// A rig by its name.
#[must_use]
pub fn rig(name: &str) -> RigKind {
    match name {
        "qemu" => RigKind::Qemu,
        "vfio" => RigKind::Vfio,
        "linux" => RigKind::Linux,
        _ => RigKind::Emu,
    }
}

/// What `matrix:` has: names with their values.
pub type Matrix = Vec<(String, Vec<Node>)>;

/// Whether a node is nothing: an empty list or mapping.
#[must_use]
pub fn is_empty(node: &Node) -> bool {
    match &node.kind {
        Kind::List(items) => items.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Scalar(scalar) => scalar.text.is_empty(),
    }
}
