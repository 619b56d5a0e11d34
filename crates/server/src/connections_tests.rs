//! Who goes when there is no room.

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn elsewhere(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Whether it was told to leave.
fn dismissed(connection: &ServerConnection) -> bool {
    let place = connection.lock().place;
    place.is_some_and(|place| !connection.all.lock().line.contains_key(&place))
}

fn staying(all: &ServerConnections) -> usize {
    let table = all.lock();
    table.open - table.leaving
}

fn told(connections: &[Arc<ServerConnection>]) -> Vec<bool> {
    connections.iter().map(|connection| dismissed(connection)).collect()
}

#[tokio::test]
async fn the_silent_go_before_the_idle_and_those_before_who_does_not_read() {
    let all = ServerConnections::new(4);
    let [unread, idle, silent, works] = [1, 2, 3, 4].map(|last| all.enter(elsewhere(last)));
    let _unread = unread.request(false);
    drop(idle.request(false));
    idle.known();
    let _work = works.request(false);
    works.known();
    let (mut gone, mut others) = (Vec::new(), Vec::new());
    for last in 5..8 {
        let other = all.enter(elsewhere(last));
        other.known();
        others.push(other.request(false));
        gone.push(told(&[Arc::clone(&silent), Arc::clone(&idle), Arc::clone(&unread), Arc::clone(&works)]));
    }
    assert_eq!(
        gone,
        [[true, false, false, false], [true, true, false, false], [true, true, true, false]].map(Vec::from)
    );
}

#[tokio::test]
async fn an_address_with_too_many_loses_its_own_and_one_that_works_may_have_more() {
    let all = ServerConnections::new(8);
    let other = all.enter(elsewhere(1));
    let own: Vec<_> = (0..6).map(|_| all.enter(HERE)).collect();
    assert_eq!(told(&own), [true, true, false, false, false, false]);
    assert!(!dismissed(&other));
    for connection in &own {
        connection.closed();
    }
    let work = |connection: &Arc<ServerConnection>| {
        connection.known();
        connection.request(false)
    };
    let working: Vec<_> = (0..7).map(|_| all.enter(HERE)).map(|connection| work(&connection)).collect();
    assert_eq!(staying(&all), 8);
    assert!(!dismissed(&other));
    drop(working);
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_to_work_when_it_is_told_to_leave_stays() {
    let all = ServerConnections::new(1);
    let first = all.enter(HERE);
    first.known();
    tokio::time::sleep(NEW).await;
    let second = all.enter(HERE);
    assert!(dismissed(&first));
    let work = first.request(false);
    let mut leaves = std::pin::pin!(first.leaves());
    assert!(futures_util::poll!(leaves.as_mut()).is_pending());
    assert!(dismissed(&second), "another goes for it");
    assert_eq!(staying(&all), 1);
    drop(work);
    assert!(!dismissed(&first), "it stands in line again");
}

#[tokio::test(start_paused = true)]
async fn a_new_one_has_time_to_ask_where_others_hold_all_places_and_do_not_read() {
    let all = ServerConnections::new(2);
    let unread = [1, 2].map(|last| all.enter(elsewhere(last)));
    let _answers = unread.each_ref().map(|connection| connection.request(false));
    let first = all.enter(elsewhere(3));
    let second = all.enter(elsewhere(4));
    assert_eq!(told(&unread), [true, false]);
    assert!(dismissed(&first), "it is the first in line");
    let mut leaves = std::pin::pin!(first.leaves());
    assert!(futures_util::poll!(leaves.as_mut()).is_pending(), "it is new");
    let work = first.request(false);
    tokio::time::sleep(NEW).await;
    assert!(futures_util::poll!(leaves.as_mut()).is_pending(), "it has asked");
    assert!(!dismissed(&first) && dismissed(&second), "a newer one is the first in line");
    let mut leaves = std::pin::pin!(second.leaves());
    let _more = second.request(false);
    assert!(futures_util::poll!(leaves.as_mut()).is_pending());
    tokio::time::sleep(NEW).await;
    assert!(futures_util::poll!(leaves.as_mut()).is_pending(), "it has asked");
    assert_eq!(told(&unread), [true, true], "one goes that does not read");
    drop(work);
}

#[tokio::test(start_paused = true)]
async fn a_new_one_that_says_nothing_goes_when_it_is_no_longer_new() {
    let all = ServerConnections::new(1);
    let first = all.enter(elsewhere(1));
    let _second = all.enter(elsewhere(2));
    let mut leaves = std::pin::pin!(first.leaves());
    assert!(futures_util::poll!(leaves.as_mut()).is_pending());
    tokio::time::sleep(NEW).await;
    assert!(futures_util::poll!(leaves.as_mut()).is_ready());
}

#[tokio::test]
async fn everything_is_counted_back() {
    let all = ServerConnections::new(3);
    for round in 0..5 {
        let open: Vec<_> = (0..10).map(|last| all.enter(elsewhere(last * round))).collect();
        let requests: Vec<_> = open.iter().skip(5).map(|connection| connection.request(true)).collect();
        for connection in &open {
            connection.closed();
        }
        drop(requests);
        let table = all.lock();
        assert_eq!((table.open, table.leaving, table.line.len(), table.addresses.len()), (0, 0, 0, 0));
    }
}

#[tokio::test]
async fn there_is_room_while_somebody_can_go() {
    let all = ServerConnections::new(2);
    let ready = || futures_util::FutureExt::now_or_never(all.room()).is_some();
    let [one, two] = [1, 2].map(|last| all.enter(elsewhere(last)));
    assert!(ready());
    let requests = [&one, &two].map(|connection| {
        connection.known();
        connection.request(false)
    });
    assert!(!ready());
    let waiting = all.room();
    let [first, second] = requests;
    let ends = async { drop(first) };
    tokio::join!(waiting, ends);
    drop(second);
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let of = |text: &str| network(text.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
}
