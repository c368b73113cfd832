//! A flood of SYNs from addresses and ports that are nobody's, beside a connection that lives.

use super::segment::{ACK, PSH, SYN, Segment};
use super::{Hostilities, LISTENS, Scene};
use crate::case::model::topology::PEER_IP;
use crate::simulate::dice::Dice;
use stack_under_test::tcp::recvmsg::TcpRecvFlags;
use stack_under_test::tcp::sendmsg::TcpSendFlags;
use std::net::Ipv4Addr;

/// SYNs between two exchanges on the connection.
const EVERY: u64 = 500;
/// Between two SYNs, in virtual nanoseconds.
const GAP: u64 = 10_000;

/// `count` SYNs. Gives what was in use at most, and how many exchanges the connection had.
///
/// # Errors
/// When the connection does not live, or a limit does not hold.
pub fn run(count: u64) -> Result<(Hostilities, u64), String> {
    let mut dice = Dice::new(1, 4);
    let mut scene = Scene::new(1, &["ip route add default via 192.0.2.2 dev eth0".to_owned()])?;
    let syn = scene.peer.open(&mut dice, LISTENS);
    scene.sends(&syn.frame(PEER_IP))?;
    scene.pass(50_000_000, &mut |answer| Some(answer.frame(PEER_IP)))?;
    let (stack, now) = scene.host.stack();
    let (fd, _) = stack.accept(now, scene.listener).map_err(|errno| format!("accept: {}", errno.name()))?;
    scene.open.push(fd);
    let mut exchanges = 0;
    for nth in 0..count {
        let from = Ipv4Addr::from_bits(0x0b00_0000 + dice.below(0x4000_0000) as u32);
        let (sport, seq) = (dice.bits() as u16, dice.bits() as u32);
        let options = vec![2, 4, 5, 180];
        let syn =
            Segment { sport, dport: LISTENS, seq, flags: SYN, window: 1000, options, ..Segment::default() };
        scene.sends(&syn.frame(from))?;
        scene.pass(GAP, &mut |answer| Some(answer.frame(PEER_IP)))?;
        if nth % EVERY == 0 {
            exchange(&mut scene)?;
            exchanges += 1;
        }
        scene.check()?;
    }
    scene.end()?;
    Ok((scene.told, exchanges))
}

/// The peer sends 100 bytes, and the application sends them back.
fn exchange(scene: &mut Scene) -> Result<(), String> {
    let Some(known) = scene.peer.known.first().copied() else { return Err("the connection is gone".into()) };
    let fd = scene.open[0];
    let mut data = scene.peer.plain(known, ACK | PSH);
    data.payload = vec![0x77; 100];
    scene.sends(&data.frame(PEER_IP))?;
    scene.peer.known[0].snd_nxt = known.snd_nxt.wrapping_add(100);
    scene.pass(5_000_000, &mut |answer| Some(answer.frame(PEER_IP)))?;
    let (stack, now) = scene.host.stack();
    let mut buffer = [0; 200];
    match stack.tcp_recv(now, fd, &mut buffer, TcpRecvFlags::default()) {
        Ok(100) => {}
        other => return Err(format!("the application read {other:?}")),
    }
    match stack.tcp_send(now, 0, fd, &buffer[..100], TcpSendFlags::default()) {
        Ok(100) => {}
        Ok(taken) => return Err(format!("{taken} bytes were taken")),
        Err(errno) => return Err(format!("send: {}", errno.name())),
    }
    scene.pass(5_000_000, &mut |answer| Some(answer.frame(PEER_IP)))?;
    match scene.peer.known.first() {
        Some(after) if after.rcv_nxt == known.rcv_nxt.wrapping_add(100) => Ok(()),
        _ => Err("what the application sent did not come".into()),
    }
}
