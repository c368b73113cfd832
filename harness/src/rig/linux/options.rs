//! Names of socket options, their values, and flags, as the kernel numbers them.

use crate::case::model::OptionValue;
use nix::libc;
use nix::sys::socket::MsgFlags;

/// A table of names: level, option, and its number.
macro_rules! numbers {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), libc::$name)),*] };
}

/// Names and their numbers.
type Numbers = &'static [(&'static str, i32)];

const LEVELS: &[(&str, i32, Numbers)] = &[
    ("SOL_SOCKET", libc::SOL_SOCKET, SOCKET),
    ("IPPROTO_IP", libc::IPPROTO_IP, IP),
    ("SOL_IP", libc::IPPROTO_IP, IP),
    ("IPPROTO_TCP", libc::IPPROTO_TCP, TCP),
    ("SOL_TCP", libc::IPPROTO_TCP, TCP),
    ("IPPROTO_UDP", libc::IPPROTO_UDP, UDP),
    ("SOL_UDP", libc::IPPROTO_UDP, UDP),
];

const SOCKET: Numbers = numbers![
    SO_ACCEPTCONN,
    SO_BINDTODEVICE,
    SO_BROADCAST,
    SO_BUSY_POLL,
    SO_DOMAIN,
    SO_DONTROUTE,
    SO_ERROR,
    SO_INCOMING_CPU,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_MARK,
    SO_NO_CHECK,
    SO_PRIORITY,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_RCVLOWAT,
    SO_RCVTIMEO,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SO_SNDTIMEO,
    SO_TYPE,
];

const IP: Numbers = numbers![
    IP_BIND_ADDRESS_NO_PORT,
    IP_FREEBIND,
    IP_MINTTL,
    IP_MTU,
    IP_MTU_DISCOVER,
    IP_MULTICAST_ALL,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IP_NODEFRAG,
    IP_RECVERR,
    IP_TOS,
    IP_TRANSPARENT,
    IP_TTL,
];

const TCP: Numbers = numbers![
    TCP_CONGESTION,
    TCP_CORK,
    TCP_DEFER_ACCEPT,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_LINGER2,
    TCP_MAXSEG,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    TCP_QUICKACK,
    TCP_SYNCNT,
    TCP_USER_TIMEOUT,
    TCP_WINDOW_CLAMP,
];

const UDP: Numbers = numbers![UDP_CORK, UDP_GRO, UDP_SEGMENT];

/// Options whose value is text.
const TEXTS: &[&str] = &["SO_BINDTODEVICE", "TCP_CONGESTION"];

const SYMBOLS: Numbers = numbers![
    IP_PMTUDISC_DO,
    IP_PMTUDISC_DONT,
    IP_PMTUDISC_INTERFACE,
    IP_PMTUDISC_OMIT,
    IP_PMTUDISC_PROBE,
    IP_PMTUDISC_WANT,
];

/// Level and number of an option.
///
/// # Errors
/// A sentence, if this rig does not know it.
pub fn number(level: &str, name: &str) -> Result<(i32, i32), String> {
    let (_, at, options) = LEVELS
        .iter()
        .find(|(known, ..)| *known == level)
        .ok_or_else(|| format!("the linux rig knows no level `{level}` of socket options"))?;
    lookup(options, name)
        .map(|number| (*at, number))
        .ok_or_else(|| format!("the linux rig knows no option `{name}` of {level}"))
}

/// The bytes that `setsockopt` takes for this value of this option.
///
/// # Errors
/// A sentence, if the value does not fit the option.
pub fn encode(name: &str, value: &OptionValue) -> Result<Vec<u8>, String> {
    match value {
        OptionValue::Symbol(text) | OptionValue::Text(text) if TEXTS.contains(&name) => {
            Ok(text.as_bytes().to_vec())
        }
        OptionValue::Number(seconds) if name == "SO_LINGER" => {
            let seconds = i32::try_from(*seconds).map_err(|_| format!("{seconds} does not fit {name}"))?;
            Ok([i32::from(seconds >= 0), seconds.max(0)].iter().flat_map(|n| n.to_ne_bytes()).collect())
        }
        OptionValue::Number(_) if TEXTS.contains(&name) => Err(format!("{name} takes text")),
        OptionValue::Symbol(text) | OptionValue::Text(text) => lookup(SYMBOLS, text)
            .map(|number| number.to_ne_bytes().to_vec())
            .ok_or_else(|| format!("the linux rig knows no value `{text}` of {name}")),
        // `struct timeval`: seconds and microseconds.
        OptionValue::Time(time) => {
            Ok([time.as_secs(), time.subsec_micros().into()].map(u64::to_ne_bytes).concat())
        }
        OptionValue::Number(number) => i32::try_from(*number)
            // A mark has 32 bits without a sign.
            .or_else(|_| u32::try_from(*number).map(u32::cast_signed))
            .map(|number| number.to_ne_bytes().to_vec())
            .map_err(|_| format!("{number} does not fit {name}")),
    }
}

/// Flags of `send` and `recv` by their names.
///
/// # Errors
/// A sentence that names the first that is unknown.
pub fn message_flags(names: &[String]) -> Result<MsgFlags, String> {
    names.iter().try_fold(MsgFlags::empty(), |all, name| {
        let bit = MsgFlags::from_name(name).or_else(|| unnamed(name));
        bit.map(|bit| all | bit).ok_or_else(|| format!("the linux rig knows no flag `{name}`"))
    })
}

/// Flags that the wrapper does not name.
fn unnamed(name: &str) -> Option<MsgFlags> {
    let bit = match name {
        "MSG_CONFIRM" => libc::MSG_CONFIRM,
        "MSG_DONTROUTE" => libc::MSG_DONTROUTE,
        "MSG_MORE" => libc::MSG_MORE,
        _ => return None,
    };
    Some(MsgFlags::from_bits_retain(bit))
}

/// Whether an option is text.
#[must_use]
pub fn is_text(name: &str) -> bool {
    TEXTS.contains(&name)
}

/// The events of poll(2); nix has no POLLRDHUP.
const EVENTS: &[(&str, i16)] = &[
    ("POLLIN", libc::POLLIN),
    ("POLLPRI", libc::POLLPRI),
    ("POLLOUT", libc::POLLOUT),
    ("POLLERR", libc::POLLERR),
    ("POLLHUP", libc::POLLHUP),
    ("POLLNVAL", libc::POLLNVAL),
    ("POLLRDHUP", libc::POLLRDHUP),
];

/// Events of `poll` by their names.
///
/// # Errors
/// A sentence that names the first that is unknown.
pub fn poll_events(names: &[String]) -> Result<i16, String> {
    names.iter().try_fold(0, |all, name| {
        let bit = EVENTS.iter().find(|(known, _)| known == name).map(|(_, bit)| bit);
        bit.map(|bit| all | bit).ok_or_else(|| format!("the linux rig knows no event `{name}`"))
    })
}

/// The names of the events that poll reported.
#[must_use]
pub fn event_names(events: i16) -> Vec<String> {
    EVENTS.iter().filter(|(_, bit)| events & bit != 0).map(|(name, _)| (*name).to_owned()).collect()
}

fn lookup(table: Numbers, name: &str) -> Option<i32> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::of_ip("IPPROTO_IP", "IP_RECVERR", (0, 11))]
    #[case::of_the_socket("SOL_SOCKET", "SO_MARK", (1, 36))]
    #[case::of_tcp("IPPROTO_TCP", "TCP_NODELAY", (6, 1))]
    #[case::of_udp("IPPROTO_UDP", "UDP_SEGMENT", (17, 103))]
    fn an_option_has_the_kernels_numbers(
        #[case] level: &str,
        #[case] name: &str,
        #[case] numbers: (i32, i32),
    ) {
        assert_eq!(number(level, name), Ok(numbers));
    }

    #[test]
    fn what_is_unknown_is_named() {
        assert!(number("IPPROTO_IP", "IP_TELEPATHY").unwrap_err().contains("IP_TELEPATHY"));
        assert!(number("SOL_AX25", "IP_TOS").unwrap_err().contains("SOL_AX25"));
        assert!(message_flags(&["MSG_LOUD".to_owned()]).unwrap_err().contains("MSG_LOUD"));
    }

    #[rstest]
    #[case::a_symbol("IP_MTU_DISCOVER", OptionValue::Symbol("IP_PMTUDISC_DO".to_owned()), &[2, 0, 0, 0])]
    #[case::a_device("SO_BINDTODEVICE", OptionValue::Text("eth0".to_owned()), b"eth0")]
    #[case::to_linger("SO_LINGER", OptionValue::Number(5), &[1, 0, 0, 0, 5, 0, 0, 0])]
    #[case::not_to_linger("SO_LINGER", OptionValue::Number(-1), &[0, 0, 0, 0, 0, 0, 0, 0])]
    #[case::a_time("SO_SNDTIMEO", OptionValue::Time(std::time::Duration::from_millis(2_200)), &[2, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x0d, 3, 0, 0, 0, 0, 0])]
    #[case::a_mark_with_its_top_bit("SO_MARK", OptionValue::Number(0x8000_0001), &[1, 0, 0, 0x80])]
    fn a_value_becomes_the_kernels_bytes(
        #[case] name: &str,
        #[case] value: OptionValue,
        #[case] bytes: &[u8],
    ) {
        assert_eq!(encode(name, &value).as_deref(), Ok(bytes));
    }

    #[rstest]
    #[case::too_large("IP_TTL", OptionValue::Number(1 << 40))]
    #[case::a_number_for_text("TCP_CONGESTION", OptionValue::Number(1))]
    #[case::an_unknown_symbol("IP_TOS", OptionValue::Symbol("IPTOS_QUICK".to_owned()))]
    fn a_value_that_does_not_fit_is_refused(#[case] name: &str, #[case] value: OptionValue) {
        assert!(encode(name, &value).is_err());
    }

    #[test]
    fn flags_add_up() {
        let names = ["MSG_DONTWAIT", "MSG_MORE", "MSG_CONFIRM", "MSG_DONTROUTE"].map(str::to_owned);
        let sum = libc::MSG_DONTWAIT | libc::MSG_MORE | libc::MSG_CONFIRM | libc::MSG_DONTROUTE;
        assert_eq!(message_flags(&names).map(|f| f.bits()), Ok(sum));
    }
}
