//! The functions that a case can cover: those that the stack traces, by their Linux names, and those of parts that are still to
//! come.

/// Every name, in order.
pub(super) const FUNCTIONS: &[&str] = &[
    "__ip_append_data",
    "__ip_local_out",
    "__neigh_create",
    "__qdisc_run",
    "__skb_gso_segment",
    "__udp_gso_segment",
    "arp_error_report",
    "arp_process",
    "arp_rcv",
    "arp_send",
    "arp_solicit",
    "bfifo_enqueue",
    "dev_gro_receive",
    "dev_hard_start_xmit",
    "dev_queue_xmit",
    "fib_lookup",
    "get_xps_queue",
    "icmp_echo",
    "icmp_push_reply",
    "icmp_rcv",
    "icmp_send",
    "igb_clean_rx_irq",
    "igb_clean_tx_irq",
    "igb_poll",
    "igb_tso",
    "igb_tx_map",
    "igb_watchdog_task",
    "igb_xmit_frame",
    "inet_csk_accept",
    "ip_defrag",
    "ip_do_fragment",
    "ip_expire",
    "ip_finish_output",
    "ip_fragment",
    "ip_local_deliver",
    "ip_output",
    "ip_rcv",
    "ip_rcv_finish",
    "ip_route_output_flow",
    "ip_rt_update_pmtu",
    "loopback_xmit",
    "napi_gro_receive",
    "neigh_probe",
    "neigh_resolve_output",
    "neigh_timer_handler",
    "neigh_update",
    "net_tx_action",
    "netdev_pick_tx",
    "netif_carrier_off",
    "netif_carrier_on",
    "netif_receive_skb",
    "nf_hook_slow",
    "noop_enqueue",
    "pfifo_enqueue",
    "pfifo_fast_dequeue",
    "pfifo_fast_enqueue",
    "prio_dequeue",
    "prio_enqueue",
    "qdisc_dequeue_head",
    "sch_direct_xmit",
    "skb_segment",
    "tbf_dequeue",
    "tbf_enqueue",
    "tbf_segment",
    "tcp_gro_receive",
    "tcp_gso_segment",
    "tcp_recvmsg",
    "tcp_retransmit_timer",
    "tcp_send_loss_probe",
    "tcp_sendmsg",
    "tcp_write_xmit",
    "udp_err",
    "udp_rcv",
    "udp_recvmsg",
    "udp_sendmsg",
    "validate_xmit_skb",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_function_that_the_stack_traces_can_be_covered() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack-under-test/src"), &mut files);
        let mut seen = 0;
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let traced =
                text.lines().filter(|line| line.contains("trace.function(") || line.contains("trace_skb::<"));
            for name in traced.flat_map(|line| line.split('"').skip(1).step_by(2)) {
                seen += 1;
                assert!(FUNCTIONS.contains(&name), "{name} of {} is not in the list", file.display());
            }
        }
        assert!(seen > 50, "only {seen} names were found");
    }
}
