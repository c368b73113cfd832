//! The functions that a case can cover: those that the stack traces, by their Linux names.

/// Every name, in order.
pub(super) const FUNCTIONS: &[&str] = &[
    "__ip_append_data",
    "__ip_local_out",
    "__ip_queue_xmit",
    "__neigh_create",
    "__qdisc_run",
    "__skb_gso_segment",
    "__tcp_push_pending_frames",
    "__tcp_retransmit_skb",
    "__tcp_send_ack",
    "__tcp_transmit_skb",
    "__udp_gso_segment",
    "arp_error_report",
    "arp_process",
    "arp_rcv",
    "arp_send",
    "arp_solicit",
    "bfifo_enqueue",
    "cubictcp_cong_avoid",
    "dev_gro_receive",
    "dev_hard_start_xmit",
    "dev_queue_xmit",
    "ep_insert",
    "ep_modify",
    "ep_remove",
    "ep_send_events",
    "fib_lookup",
    "get_xps_queue",
    "icmp_echo",
    "icmp_push_reply",
    "icmp_rcv",
    "icmp_send",
    "igb_clean_rx_irq",
    "igb_clean_tx_irq",
    "igb_diag_test",
    "igb_nway_reset",
    "igb_poll",
    "igb_set_channels",
    "igb_set_coalesce",
    "igb_set_pauseparam",
    "igb_set_ringparam",
    "igb_set_rx_mode",
    "igb_set_rxfh",
    "igb_tso",
    "igb_tx_csum",
    "igb_tx_map",
    "igb_watchdog_task",
    "igb_xmit_frame",
    "inet_csk_accept",
    "ip_append_data",
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
    "reqsk_timer_handler",
    "sch_direct_xmit",
    "skb_segment",
    "skb_tx_hash",
    "tbf_dequeue",
    "tbf_enqueue",
    "tbf_segment",
    "tcp_ack",
    "tcp_check_req",
    "tcp_check_space",
    "tcp_close",
    "tcp_collapse",
    "tcp_conn_request",
    "tcp_connect",
    "tcp_data_queue",
    "tcp_data_queue_ofo",
    "tcp_delack_timer_handler",
    "tcp_disconnect",
    "tcp_ecn_check_ce",
    "tcp_enter_cwr",
    "tcp_enter_loss",
    "tcp_enter_recovery",
    "tcp_fastretrans_alert",
    "tcp_fin",
    "tcp_finish_connect",
    "tcp_gro_receive",
    "tcp_gso_segment",
    "tcp_keepalive_timer",
    "tcp_make_synack",
    "tcp_probe_timer",
    "tcp_prune_ofo_queue",
    "tcp_prune_queue",
    "tcp_push",
    "tcp_rack_mark_lost",
    "tcp_rcv_established",
    "tcp_rcv_space_adjust",
    "tcp_rcv_state_process",
    "tcp_rcv_synsent_state_process",
    "tcp_rearm_rto",
    "tcp_recv_urg",
    "tcp_recvmsg",
    "tcp_reno_cong_avoid",
    "tcp_reset",
    "tcp_retransmit_skb",
    "tcp_retransmit_timer",
    "tcp_rtx_synack",
    "tcp_sacktag_write_queue",
    "tcp_schedule_loss_probe",
    "tcp_send_active_reset",
    "tcp_send_challenge_ack",
    "tcp_send_delayed_ack",
    "tcp_send_dupack",
    "tcp_send_fin",
    "tcp_send_loss_probe",
    "tcp_send_probe0",
    "tcp_send_synack",
    "tcp_sendmsg",
    "tcp_shutdown",
    "tcp_time_wait",
    "tcp_timewait_state_process",
    "tcp_try_coalesce",
    "tcp_try_undo_loss",
    "tcp_try_undo_recovery",
    "tcp_urg",
    "tcp_v4_connect",
    "tcp_v4_err",
    "tcp_v4_mtu_reduced",
    "tcp_v4_rcv",
    "tcp_v4_reqsk_send_ack",
    "tcp_v4_send_ack",
    "tcp_v4_send_reset",
    "tcp_v4_syn_recv_sock",
    "tcp_write_xmit",
    "tcp_xmit_retransmit_queue",
    "udp_err",
    "udp_push_pending_frames",
    "udp_rcv",
    "udp_recvmsg",
    "udp_sendmsg",
    "validate_xmit_skb",
    "vlan_dev_hard_start_xmit",
    "vlan_do_receive",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
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
    fn the_functions_that_can_be_covered_are_those_that_the_stack_traces() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack-under-test/src"), &mut files);
        let mut traced = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().filter(|line| line.contains("\""));
            for name in lines.flat_map(|line| line.split('"').skip(1).step_by(2)) {
                traced.insert(name.to_owned());
            }
            let calls =
                text.lines().filter(|line| line.contains("trace.function(") || line.contains("trace_skb::<"));
            for name in calls.flat_map(|line| line.split('"').skip(1).step_by(2)) {
                assert!(FUNCTIONS.contains(&name), "{name} of {} is not in the list", file.display());
            }
        }
        for name in FUNCTIONS {
            assert!(traced.contains(*name), "no part of the stack traces {name}");
        }
    }
}
