//! What a set reports of its sockets, in which order, and whom it wakes.

use super::*;
use crate::skb::PoolConfig;
use crate::tcp::tests::support::bare_stack;
use rstest::rstest;

/// A stack, a set, and datagram sockets in it that are asked for these events and called by their number.
fn set_of(events: &[u32]) -> (Stack, Fd, Vec<Fd>) {
    let mut stack = bare_stack(0, PoolConfig { skbs: 4, heads: 4, pages: 1, coherent_bytes: 4096 });
    let epoll = stack.epoll_create().expect("there is room");
    let mut sockets = Vec::new();
    for (data, events) in (0..).zip(events) {
        let fd = stack.socket_udp().expect("there is room");
        add(&mut stack, epoll, fd, EpollEvent { events: *events, data }).expect("it is not in there yet");
        sockets.push(fd);
    }
    (stack, epoll, sockets)
}

fn add(stack: &mut Stack, epoll: Fd, fd: Fd, event: EpollEvent) -> Result<(), Errno> {
    stack.epoll_ctl(epoll, EpollCtl::Add, fd, event)
}

/// There is something to read, or there is not any more; the first wakes who waits.
fn readable(stack: &mut Stack, fd: Fd, is: bool) {
    stack.sockets.get_mut(fd).expect("it is open").shutdown_read = is;
    if is {
        stack.sockets.wake(SocketTable::slot(fd), Wake::DataReady);
    }
}

/// What a call that does not wait reports: data and events.
fn ask(stack: &mut Stack, epoll: Fd, maxevents: i32) -> Vec<(u64, u32)> {
    let reported = stack.epoll_wait(epoll, maxevents, 0, false).expect("it is a set");
    reported.iter().map(|event| (event.data, event.events)).collect()
}

#[rstest]
#[case::a_level(EPOLLIN, [true, true, true, false])]
#[case::an_edge(EPOLLIN | EPOLLET, [true, false, true, false])]
#[case::once(EPOLLIN | EPOLLONESHOT, [true, false, false, false])]
#[case::both_in_one(EPOLLIN | EPOLLONESHOT | EPOLLET, [true, false, false, false])]
#[case::something_else(EPOLLPRI, [false, false, false, false])]
fn how_often_a_socket_is_reported(#[case] events: u32, #[case] told: [bool; 4]) {
    let (mut stack, epoll, sockets) = set_of(&[events]);
    readable(&mut stack, sockets[0], true);
    let first = ask(&mut stack, epoll, 8);
    let again = ask(&mut stack, epoll, 8);
    readable(&mut stack, sockets[0], true);
    let more = ask(&mut stack, epoll, 8);
    readable(&mut stack, sockets[0], true);
    readable(&mut stack, sockets[0], false);
    let taken = ask(&mut stack, epoll, 8);
    let reported = [first, again, more, taken].map(|reported| reported == [(0, EPOLLIN)]);
    assert_eq!(reported, told);
}

#[rstest]
#[case::armed_again(EPOLLIN | EPOLLONESHOT, &[(7, EPOLLIN)])]
#[case::for_something_else(EPOLLOUT, &[(7, EPOLLOUT)])]
#[case::for_what_is_not_there(EPOLLPRI, &[])]
fn a_change_is_an_edge_for_what_is_there(#[case] events: u32, #[case] told: &[(u64, u32)]) {
    let (mut stack, epoll, sockets) = set_of(&[EPOLLIN | EPOLLONESHOT]);
    readable(&mut stack, sockets[0], true);
    ask(&mut stack, epoll, 8);
    let changed = stack.epoll_ctl(epoll, EpollCtl::Mod, sockets[0], EpollEvent { events, data: 7 });
    assert_eq!(changed, Ok(()));
    assert_eq!(ask(&mut stack, epoll, 8), told);
}

#[test]
fn the_list_is_read_in_the_order_in_which_sockets_became_ready_and_goes_round() {
    let (mut stack, epoll, sockets) = set_of(&[EPOLLIN, EPOLLIN, EPOLLIN | EPOLLET]);
    for fd in [sockets[2], sockets[0], sockets[1], sockets[0]] {
        readable(&mut stack, fd, true);
    }
    let mut order = Vec::new();
    for maxevents in [2, 2, 1, 1, 8] {
        order.push(ask(&mut stack, epoll, maxevents).iter().map(|(data, _)| *data).collect::<Vec<_>>());
    }
    let expected: [&[u64]; 5] = [&[2, 0], &[1, 0], &[1], &[0], &[1, 0]];
    assert_eq!(order, expected);
}

#[rstest]
#[case::data(Wake::DataReady, EPOLLIN, true)]
#[case::data_when_room_is_asked_for(Wake::DataReady, EPOLLOUT, false)]
#[case::room(Wake::WriteSpace, EPOLLOUT, true)]
#[case::room_when_data_is_asked_for(Wake::WriteSpace, EPOLLIN, false)]
#[case::an_error_unasked(Wake::ErrorReport, 0, true)]
#[case::a_change_of_state(Wake::StateChange, EPOLLPRI, true)]
#[case::nothing_any_more(Wake::StateChange, EPOLLONESHOT, true)]
fn a_wake_up_is_for_who_asked_for_it(#[case] wake: Wake, #[case] events: u32, #[case] listed: bool) {
    let (mut stack, epoll, sockets) = set_of(&[events]);
    ask(&mut stack, epoll, 8);
    stack.sockets.epoll_at(SocketTable::slot(epoll)).expect("it is a set").ready.clear();
    for item in stack.sockets.epoll_at(SocketTable::slot(epoll)).expect("it is a set").items.values_mut() {
        item.linked = false;
    }
    stack.sockets.wake(SocketTable::slot(sockets[0]), wake);
    let ep = stack.sockets.epoll_at(SocketTable::slot(epoll)).expect("it is a set");
    assert_eq!(!ep.ready.is_empty(), listed);
}

#[rstest]
#[case::an_edge_wakes_one(EPOLLIN | EPOLLET, &[2], &[])]
#[case::a_level_wakes_the_next(EPOLLIN, &[2], &[1])]
fn who_came_last_is_woken_first(#[case] events: u32, #[case] woken: &[u32], #[case] then: &[u32]) {
    let (mut stack, epoll, sockets) = set_of(&[events]);
    for waiter in [1, 2] {
        assert_eq!(stack.epoll_wait(epoll, 1, waiter, true), Err(Errno::EAGAIN));
    }
    assert_eq!(stack.take_woken_waiters(), []);
    readable(&mut stack, sockets[0], true);
    assert_eq!(stack.take_woken_waiters(), woken);
    assert_eq!(stack.epoll_wait(epoll, 1, 2, true), Ok(alloc::vec![EpollEvent { events: EPOLLIN, data: 0 }]));
    assert_eq!(stack.take_woken_waiters(), then);
}

// Two sets have the socket with EPOLLEXCLUSIVE; callers 1 and 2 wait for the first and the second of them.
#[rstest]
#[case::data_wakes_the_first(Wake::DataReady, &[1, 2], &[1])]
#[case::or_the_next_when_nobody_waits_for_that(Wake::DataReady, &[2], &[2])]
#[case::a_change_of_state_wakes_all(Wake::StateChange, &[1, 2], &[1, 2])]
fn an_exclusive_wake_up_ends_with_who_is_woken(
    #[case] wake: Wake,
    #[case] waiting: &[u32],
    #[case] woken: &[u32],
) {
    let (mut stack, first, sockets) = set_of(&[EPOLLIN | EPOLLEXCLUSIVE]);
    let second = stack.epoll_create().expect("there is room");
    let event = EpollEvent { events: EPOLLIN | EPOLLEXCLUSIVE, data: 0 };
    assert_eq!(add(&mut stack, second, sockets[0], event), Ok(()));
    for waiter in waiting {
        let set = if *waiter == 1 { first } else { second };
        assert_eq!(stack.epoll_wait(set, 1, *waiter, true), Err(Errno::EAGAIN));
    }
    stack.sockets.wake(SocketTable::slot(sockets[0]), wake);
    assert_eq!(stack.take_woken_waiters(), woken);
}

/// What an argument of `epoll_ctl` stands for.
#[derive(Clone, Copy, Debug)]
enum Is {
    Set,
    OtherSet,
    Inside,
    Outside,
    Exclusive,
    Closed,
}

#[rstest]
#[case::it_is_in_there(Is::Set, EpollCtl::Add, Is::Inside, EPOLLIN, Err(Errno::EEXIST))]
#[case::it_is_not_to_change(Is::Set, EpollCtl::Mod, Is::Outside, EPOLLIN, Err(Errno::ENOENT))]
#[case::it_is_not_to_leave(Is::Set, EpollCtl::Del, Is::Outside, 0, Err(Errno::ENOENT))]
#[case::it_leaves(Is::Set, EpollCtl::Del, Is::Inside, 0, Ok(()))]
#[case::exclusive_is_for_new_ones(Is::Set, EpollCtl::Mod, Is::Inside, EPOLLEXCLUSIVE, Err(Errno::EINVAL))]
#[case::exclusive_is_for_good(Is::Set, EpollCtl::Mod, Is::Exclusive, EPOLLIN, Err(Errno::EINVAL))]
#[case::exclusive_with_too_much(Is::Set, EpollCtl::Add, Is::Outside, EPOLLEXCLUSIVE | EPOLLRDHUP, Err(Errno::EINVAL))]
#[case::exclusive_with_an_edge(Is::Set, EpollCtl::Add, Is::Outside, EPOLLEXCLUSIVE | EPOLLET, Ok(()))]
#[case::exclusive_does_not_matter_when_it_leaves(Is::Set, EpollCtl::Del, Is::Inside, EPOLLEXCLUSIVE, Ok(()))]
#[case::itself(Is::Set, EpollCtl::Add, Is::Set, EPOLLIN, Err(Errno::EINVAL))]
#[case::a_set_in_a_set(Is::Set, EpollCtl::Add, Is::OtherSet, EPOLLIN, Err(Errno::EOPNOTSUPP))]
#[case::a_socket_is_no_set(Is::Inside, EpollCtl::Add, Is::Outside, EPOLLIN, Err(Errno::EINVAL))]
#[case::a_set_that_was_closed(Is::Closed, EpollCtl::Add, Is::Outside, EPOLLIN, Err(Errno::EBADF))]
#[case::a_socket_that_was_closed(Is::Inside, EpollCtl::Add, Is::Closed, EPOLLIN, Err(Errno::EBADF))]
fn what_epoll_ctl_refuses(
    #[case] epoll: Is,
    #[case] op: EpollCtl,
    #[case] socket: Is,
    #[case] events: u32,
    #[case] result: Result<(), Errno>,
) {
    let (mut stack, set, sockets) = set_of(&[EPOLLIN, EPOLLIN | EPOLLEXCLUSIVE]);
    let (other, outside) = (stack.epoll_create().expect("room"), stack.socket_udp().expect("room"));
    let fd = |is: Is| match is {
        Is::Set => set,
        Is::OtherSet => other,
        Is::Inside => sockets[0],
        Is::Exclusive => sockets[1],
        Is::Outside => outside,
        Is::Closed => Fd(u32::MAX),
    };
    assert_eq!(stack.epoll_ctl(fd(epoll), op, fd(socket), EpollEvent { events, data: 0 }), result);
}

#[rstest]
#[case::none(0, Err(Errno::EINVAL))]
#[case::fewer(-1, Err(Errno::EINVAL))]
#[case::more_than_an_int_counts(i32::MAX / 12 + 1, Err(Errno::EINVAL))]
#[case::as_many_as_an_int_counts(i32::MAX / 12, Ok(Vec::new()))]
fn how_many_events_can_be_asked_for(#[case] maxevents: i32, #[case] result: Result<Vec<EpollEvent>, Errno>) {
    let (mut stack, epoll, sockets) = set_of(&[EPOLLIN]);
    assert_eq!(stack.epoll_wait(epoll, maxevents, 0, false), result);
    assert_eq!(stack.epoll_wait(sockets[0], 1, 0, false), Err(Errno::EINVAL));
    assert_eq!(stack.epoll_wait(Fd(u32::MAX), 1, 0, false), Err(Errno::EBADF));
}

#[test]
fn a_socket_that_is_closed_leaves_and_its_number_means_nothing_to_the_set() {
    let (mut stack, epoll, sockets) = set_of(&[EPOLLIN, EPOLLIN]);
    readable(&mut stack, sockets[0], true);
    stack.close(sockets[0]).expect("it is open");
    assert_eq!(ask(&mut stack, epoll, 8), []);
    let again = stack.socket_udp().expect("there is room");
    assert_eq!(again, sockets[0], "the number is used again");
    readable(&mut stack, again, true);
    assert_eq!(ask(&mut stack, epoll, 8), []);
}

#[test]
fn a_set_that_is_closed_is_gone_when_nobody_waits_for_it() {
    let (mut stack, epoll, sockets) = set_of(&[EPOLLIN]);
    let slot = SocketTable::slot(sockets[0]);
    assert_eq!(stack.epoll_wait(epoll, 1, 5, true), Err(Errno::EAGAIN));
    stack.close(epoll).expect("it is open");
    assert_eq!(stack.close(epoll), Err(Errno::EBADF));
    assert!(stack.sockets.is_watched(slot), "caller 5 still waits");
    readable(&mut stack, sockets[0], true);
    assert_eq!(stack.take_woken_waiters(), [5]);
    assert_eq!(stack.epoll_wait(epoll, 1, 5, true).map(|reported| reported.len()), Ok(1));
    assert!(!stack.sockets.is_watched(slot));
    assert_eq!(stack.epoll_create(), Ok(epoll), "the number is free again");
}

#[test]
fn in_a_set_a_datagram_socket_is_told_of_all_that_is_freed() {
    let (mut stack, epoll, sockets) = set_of(&[EPOLLOUT | EPOLLET]);
    let slot = SocketTable::slot(sockets[0]) as usize;
    assert_eq!(ask(&mut stack, epoll, 8), [(0, EPOLLOUT)]);
    for _ in 0..2 {
        assert!(stack.skbs.charges[slot].nospace, "the pool tells of it");
        stack.skbs.woken.push(slot as u32);
        stack.wake_writers();
        assert_eq!(ask(&mut stack, epoll, 8), [(0, EPOLLOUT)]);
    }
    stack.epoll_ctl(epoll, EpollCtl::Del, sockets[0], EpollEvent::default()).expect("it is in there");
    stack.skbs.woken.push(slot as u32);
    stack.wake_writers();
    assert!(!stack.skbs.charges[slot].nospace, "nobody asks any more");
}
