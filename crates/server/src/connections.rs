//! The connections that are open: which wait for a request, since when, and which is closed for a new one.
//!
//! Whoever works is not closed: a connection whose request a key has let in stands in no line. The others
//! stand in one, and where room is wanted, the first of it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::LogThrottle;
use protocol::limits;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::slips::tls;

const FIRST_BYTE: Duration = Duration::from_secs(limits::FIRST_BYTE_S);
const HEAD: Duration = Duration::from_secs(limits::HEAD_S);
/// How long a connection may be without a request.
pub(crate) const IDLE: Duration = Duration::from_secs(limits::IDLE_S);
/// How many of those that were told to leave may be there still before no new one is taken.
const LEAVING: usize = 64;
/// How long a new connection may take to ask before it goes for a newer one: as others hold all places and
/// never leave, it is the first in line from the moment it comes.
const NEW: Duration = Duration::from_millis(limits::NEW_CONNECTION_MS);

/// Why a connection may be closed for another; the first of these goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It has no request under way, and no key was ever shown on it.
    Silent,
    /// It has no request under way.
    Idle,
    /// What it asked for needs no key, or a key that was not shown, and it has not read the answer.
    Unread,
}

/// How often it is said of peers that they speak TLS.
const TLS: Duration = Duration::from_mins(1);

/// A place in the line: the longer there, the smaller.
type Place = (Class, u64);

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct ServerConnections {
    /// How many there may be.
    room: usize,
    /// How many of one address, before its own are closed for its new ones.
    share: usize,
    table: Mutex<Table>,
    /// Told when there may be room again.
    freed: Notify,
    /// Peers that speak TLS to this server, which does not.
    tls: LogThrottle,
}

#[derive(Debug, Default)]
struct Table {
    turn: u64,
    open: usize,
    /// Those of `open` that were told to leave.
    leaving: usize,
    line: BTreeMap<Place, Arc<ServerConnection>>,
    addresses: BTreeMap<IpAddr, Address>,
}

#[derive(Debug, Default)]
struct Address {
    /// Without those that were told to leave.
    open: usize,
    line: BTreeSet<Place>,
}

/// One connection, as the table, the wire and the requests of it see it.
#[derive(Debug)]
pub(crate) struct ServerConnection {
    all: Arc<ServerConnections>,
    address: IpAddr,
    came: Instant,
    pulse: Mutex<Pulse>,
    leave: Notify,
    /// Told when its peer sends no more, and waits for an answer.
    left: CancellationToken,
    /// Told when it is to end at once.
    cut: CancellationToken,
}

#[derive(Debug)]
struct Pulse {
    /// Since when it is without a request.
    since: Instant,
    /// When the head of its next request began to come.
    head: Option<Instant>,
    /// Requests under way, their answers too.
    requests: usize,
    /// Whether there ever was one.
    asked: bool,
    /// Whether one of them showed a key that opens.
    known: bool,
    http2: bool,
    /// Whether it has not taken what was written.
    blocked: bool,
    place: Option<Place>,
    /// Whether it was told to leave.
    leaves: bool,
}

/// A request under way, until its answer is written or given up.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<ServerConnection>);

impl ServerConnections {
    /// Room for so many.
    pub(crate) fn new(room: usize) -> Arc<Self> {
        let room = room.max(1);
        let share = room.div_ceil(limits::CONNECTIONS_PER_ADDRESS_PART);
        Arc::new(Self {
            room,
            share,
            table: Mutex::default(),
            freed: Notify::new(),
            tls: LogThrottle::every(TLS),
        })
    }

    /// Waits until a new connection can be taken, if need be in place of another.
    pub(crate) async fn room(&self) {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if self.lock().takes(self.room) {
                return;
            }
            freed.await;
        }
    }

    /// Takes a new connection in and, where its address or the whole has too many, tells another to leave.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Arc<ServerConnection> {
        let address = network(address);
        let mut table = self.lock();
        table.open += 1;
        table.addresses.entry(address).or_default().open += 1;
        self.crowd(&mut table, address, None);
        drop(table);
        let came = Instant::now();
        let pulse = Pulse {
            since: came,
            head: None,
            requests: 0,
            asked: false,
            known: false,
            http2: false,
            blocked: false,
            place: None,
            leaves: false,
        };
        let all = Arc::clone(self);
        let connection = Arc::new(ServerConnection {
            all,
            address,
            came,
            pulse: Mutex::new(pulse),
            leave: Notify::new(),
            left: CancellationToken::new(),
            cut: CancellationToken::new(),
        });
        connection.change(|_| ());
        connection
    }

    /// Tells the first in line to leave: the system has no descriptor left.
    pub(crate) fn make_room(&self) {
        let mut table = self.lock();
        let first = table.line.first_key_value().map(|(place, _)| *place);
        table.dismiss(first);
    }

    /// One of this address has come or stays, at this place: where the address or the whole has too many,
    /// another leaves.
    fn crowd(&self, table: &mut Table, address: IpAddr, stays: Option<Place>) {
        let other = |place: &&Place| Some(**place) != stays;
        let own = table.addresses.get(&address).filter(|own| own.open > self.share);
        if let Some(first) = own.and_then(|own| own.line.iter().find(other).copied()) {
            table.dismiss(Some(first));
        }
        if table.open - table.leaving > self.room {
            let first = table.line.keys().find(other).copied();
            table.dismiss(first);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn takes(&self, room: usize) -> bool {
        let staying = self.open - self.leaving;
        (staying < room || !self.line.is_empty()) && self.open < room + LEAVING
    }

    fn dismiss(&mut self, place: Option<Place>) {
        let Some((place, connection)) = place.and_then(|place| self.line.remove_entry(&place)) else {
            return;
        };
        self.leaving += 1;
        if let Some(own) = self.addresses.get_mut(&connection.address) {
            own.line.remove(&place);
            own.open -= 1;
        }
        connection.leave.notify_one();
    }

    fn stand(&mut self, connection: &Arc<ServerConnection>, class: Class) -> Place {
        self.turn += 1;
        let place = (class, self.turn);
        self.line.insert(place, Arc::clone(connection));
        self.addresses.entry(connection.address).or_default().line.insert(place);
        place
    }

    /// Takes it out of the line; false: it was told to leave before.
    fn step_out(&mut self, connection: &ServerConnection, place: Place) -> bool {
        let stood = self.line.remove(&place).is_some();
        if let Some(own) = self.addresses.get_mut(&connection.address) {
            own.line.remove(&place);
        }
        stood
    }
}

impl ServerConnection {
    /// A request has come in over it.
    pub(crate) fn request(self: &Arc<Self>, http2: bool) -> OpenRequest {
        self.change(|pulse| {
            pulse.requests += 1;
            pulse.asked = true;
            pulse.http2 = http2;
        });
        OpenRequest(Arc::clone(self))
    }

    /// Whether it has a request under way over HTTP/1, where a peer can be done with sending and still read.
    pub(crate) fn answers(&self) -> bool {
        let pulse = self.lock();
        pulse.requests > 0 && !pulse.http2
    }

    /// Told when its peer sends no more, and waits for an answer.
    pub(crate) fn left(&self) -> &CancellationToken {
        &self.left
    }

    /// What ends it at once.
    pub(crate) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// A request of it has shown a key that opens.
    pub(crate) fn known(self: &Arc<Self>) {
        self.change(|pulse| pulse.known = true);
    }

    /// Its peer speaks TLS.
    pub(crate) fn speaks_tls(&self) {
        if let Some(times) = self.all.tls.now() {
            tracing::warn!(times, "a client speaks TLS: {}", tls::TOLD);
        }
    }

    /// Bytes have come.
    pub(crate) fn heard(&self) {
        let mut pulse = self.lock();
        if pulse.requests == 0 && !pulse.http2 && pulse.head.is_none() {
            pulse.head = Some(Instant::now());
        }
    }

    /// Whether it has not taken what was written.
    pub(crate) fn blocked(self: &Arc<Self>, blocked: bool) {
        self.change(|pulse| {
            pulse.blocked = blocked;
            if !blocked {
                pulse.since = Instant::now();
            }
        });
    }

    /// When it is to end for want of a request; `None`: it has one under way.
    pub(crate) fn due(&self) -> Option<Instant> {
        let pulse = self.lock();
        // What is blocked has a bound of its own, on the wire.
        (pulse.requests == 0 && !pulse.blocked).then(|| match (pulse.asked, pulse.head) {
            (false, None) => pulse.since + FIRST_BYTE,
            (false, Some(_)) => pulse.since + HEAD,
            (true, None) => pulse.since + IDLE,
            (true, Some(head)) => head + HEAD,
        })
    }

    /// Ready when it is told to leave, unless it asked for something since it was told to.
    pub(crate) async fn leaves(self: &Arc<Self>) {
        loop {
            self.leave.notified().await;
            // Whether it shows a key that opens may not be known yet, though it has asked.
            if self.came.elapsed() < NEW {
                sleep_until(self.came + NEW).await;
            }
            let mut pulse = self.lock();
            let now = pulse.class();
            if now.is_some() && now <= pulse.place.map(|(class, _)| class) {
                pulse.leaves = true;
                return;
            }
            let mut table = self.all.lock();
            table.leaving -= 1;
            table.addresses.entry(self.address).or_default().open += 1;
            pulse.place = now.map(|class| table.stand(self, class));
            self.all.crowd(&mut table, self.address, pulse.place);
            drop(table);
            self.all.freed.notify_one();
        }
    }

    /// Whether a key was ever shown on it.
    pub(crate) fn is_known(&self) -> bool {
        self.lock().known
    }

    /// It is closed.
    pub(crate) fn closed(&self) {
        let mut pulse = self.lock();
        let mut table = self.all.lock();
        table.open -= 1;
        let dismissed = pulse.leaves || pulse.place.take().is_some_and(|place| !table.step_out(self, place));
        if dismissed {
            table.leaving -= 1;
        } else if let Some(own) = table.addresses.get_mut(&self.address) {
            own.open -= 1;
        }
        if table.addresses.get(&self.address).is_some_and(|own| own.open == 0) {
            table.addresses.remove(&self.address);
        }
        drop(table);
        // A request may outlive it for a moment and must not put it back into the line.
        pulse.leaves = true;
        self.all.freed.notify_one();
    }

    /// Changes what is known of it, and its place in the line with that.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Pulse)) {
        let mut pulse = self.lock();
        change(&mut pulse);
        let class = pulse.class();
        if class == pulse.place.map(|(class, _)| class) {
            return;
        }
        let mut table = self.all.lock();
        if let Some(place) = pulse.place.filter(|place| table.line.contains_key(place)) {
            table.step_out(self, place);
            pulse.place = None;
        }
        // One that was told to leave stays told.
        if pulse.place.is_none() && !pulse.leaves {
            pulse.place = class.map(|class| table.stand(self, class));
        }
        drop(table);
        if class.is_some() {
            self.all.freed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pulse {
    fn class(&self) -> Option<Class> {
        match (self.known, self.requests > 0 || self.blocked) {
            (false, false) => Some(Class::Silent),
            (true, false) => Some(Class::Idle),
            (false, true) => Some(Class::Unread),
            (true, true) => None,
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.change(|pulse| {
            pulse.requests -= 1;
            if pulse.requests == 0 {
                pulse.since = Instant::now();
                pulse.head = None;
            }
        });
    }
}

/// Who counts as one: an address, of IPv6 the network that one customer gets.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
