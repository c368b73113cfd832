//! Counters of `/proc/net/snmp`.
