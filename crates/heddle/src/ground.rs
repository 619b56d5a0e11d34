//! What a server stands on: its data directory, the room on its disk, and its port. Looked at before anything
//! is made, by `serve` and by `doctor`.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use protocol::limits::CONNECTIONS_WAITING;
use sandbox::HostCheck;
use store::Store;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use crate::{
    Wrong,
    config::HeddleSettings,
    lock::{self, DirectoryUse},
    seal::{self, DATABASE, DataError},
};

const MIB: u64 = 1 << 20;
/// Files and directories that a new data directory begins with, and some to work with.
const ENTRIES_MIN: u64 = 32;
/// How long a start waits for what a server that was killed a moment ago leaves: processes that it was just
/// starting hold its lock and its port until they are another program. And between two looks.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// What stands in a server's way.
#[derive(Debug)]
struct Hindrance {
    said: String,
    /// Whether it may go by itself.
    passes: bool,
}

impl Hindrance {
    fn stays(said: impl ToString) -> Self {
        Self { said: said.to_string(), passes: false }
    }
}

/// A port that is this process's, and that nobody can connect to yet: it must not look like a server that
/// stopped working on its sessions.
#[derive(Debug)]
pub(crate) struct BoundPort(TcpSocket);

impl BoundPort {
    fn take(listen: SocketAddr) -> Result<Self, Hindrance> {
        let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let taken = socket.and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(listen)?;
            Ok(Self(socket))
        });
        taken.map_err(|wrong| Hindrance {
            said: refused(listen, &wrong),
            passes: wrong.kind() == ErrorKind::AddrInUse,
        })
    }

    /// Lets connections come.
    pub(crate) fn open(self) -> Result<TcpListener, String> {
        let listen = self.0.local_addr().map_err(|wrong| wrong.to_string())?;
        self.0.listen(CONNECTIONS_WAITING).map_err(|wrong| refused(listen, &wrong))
    }
}

fn refused(listen: SocketAddr, wrong: &io::Error) -> String {
    let whys = [
        (ErrorKind::AddrInUse, "another program listens there; end it, or choose another port with --listen"),
        (ErrorKind::AddrNotAvailable, "this machine has no such address; choose another with --listen"),
        (ErrorKind::PermissionDenied, "ports below 1024 are for root; choose another with --listen"),
    ];
    let why = whys.iter().find(|(kind, _)| *kind == wrong.kind());
    let why = why.map_or("choose another with --listen", |(_, why)| why);
    format!("cannot listen on {listen}: {wrong}: {why}")
}

/// The door of a server that can start as far as that can be seen without making anything; else all that is
/// in its way, once it is sure that this does not go by itself.
pub(crate) async fn ready(settled: &HeddleSettings) -> Result<BoundPort, Wrong> {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let (data, door) = (data(&settled.data), BoundPort::take(settled.listen));
        let wrong = match (door, data) {
            (Ok(door), Ok(())) => return Ok(door),
            (door, data) => [door.err(), data.err()].into_iter().flatten().collect::<Vec<_>>(),
        };
        if Instant::now() >= until || !wrong.iter().all(|wrong| wrong.passes) {
            let said: Vec<String> = wrong.into_iter().map(|wrong| wrong.said).collect();
            return Err(said.join("\n").into());
        }
        if !told {
            told = true;
            let said: Vec<String> = wrong.into_iter().map(|wrong| wrong.said).collect();
            let seconds = PATIENCE.as_secs();
            tracing::warn!(
                "{}; it may be what a server leaves that has just ended: waiting for it for {seconds} seconds at most",
                said.join("; ")
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn data(data: &Path) -> Result<(), Hindrance> {
    seal::open(data).map_err(Hindrance::stays)?;
    if lock::is_served(data) {
        let said = DataError::Taken { path: data.into(), open: false }.to_string();
        return Err(Hindrance { said, passes: true });
    }
    let database = data.join(DATABASE);
    if !database.exists() {
        fits(data).map_err(Hindrance::stays)?;
    }
    Store::look(&database).map_err(Hindrance::stays)
}

/// Whether the files of a new data directory can be made: a disk may have bytes and yet no place in its table
/// of files.
fn fits(data: &Path) -> Result<(), String> {
    let path = std::path::absolute(data).unwrap_or_else(|_| data.into());
    // A disk without such a table says that it has none; one that cannot be asked is told of elsewhere.
    let full = |room: &sandbox::DiskRoom| room.entries_all > 0 && room.entries < ENTRIES_MIN;
    match sandbox::room(&path).ok().filter(full) {
        None => Ok(()),
        Some(room) => Err(format!(
            "the disk of {} has room for {} more files (inodes), and a new data directory needs {ENTRIES_MIN}: remove \
             some files there, or name another directory with --data",
            path.display(),
            room.entries
        )),
    }
}

/// What `doctor` says of it. That a server has the directory and the port already is no mistake: it shows
/// that one can start here.
pub(crate) fn checks(settled: &HeddleSettings) -> Vec<HostCheck> {
    let served = lock::served(&settled.data);
    vec![directory(&settled.data, served), room(settled), port(settled.listen, served)]
}

fn check(name: &'static str, found: Result<String, String>) -> HostCheck {
    let ok = found.is_ok();
    HostCheck { name, ok, found: found.unwrap_or_else(|wrong| wrong), fix: String::new(), needed: true }
}

fn directory(at: &Path, served: DirectoryUse) -> HostCheck {
    let path = std::path::absolute(at).unwrap_or_else(|_| at.into());
    let is = match served {
        DirectoryUse::At(listen) => format!("a running heddle serves it at http://{listen}"),
        DirectoryUse::Somewhere => "a running heddle serves it".to_owned(),
        DirectoryUse::No if seal::find(at).is_ok() => "it is there, and this user can write in it".to_owned(),
        DirectoryUse::No => "it can be made".to_owned(),
    };
    let usable = match served {
        DirectoryUse::Somewhere | DirectoryUse::At(_) => {
            seal::open(at).map(drop).map_err(|wrong| wrong.to_string())
        }
        DirectoryUse::No => data(at).map_err(|wrong| wrong.said),
    };
    let whole = usable.and_then(|()| Store::examine(&at.join(DATABASE)).map_err(|wrong| wrong.to_string()));
    check("data", whole.map(|()| format!("{}: {is}", path.display())))
}

fn room(settled: &HeddleSettings) -> HostCheck {
    const NAME: &str = "room";
    let path = std::path::absolute(&settled.data).unwrap_or_else(|_| settled.data.clone());
    let room = match sandbox::room(&path) {
        Ok(room) => room,
        Err(wrong) => {
            return HostCheck { needed: false, ..check(NAME, Err(format!("{}: {wrong}", path.display()))) };
        }
    };
    let (free, kept) = (room.bytes, settled.sandbox.limits.free_bytes);
    let found = format!("{} MiB are free on its disk", free / MIB);
    match () {
        // What is kept for such a moment lets a server start all the same.
        () if free < MIB && !path.join(seal::BALLAST).exists() => HostCheck {
            fix: "Free some, or name another directory with --data".to_owned(),
            ..check(NAME, Err(format!("the disk is full: {found}")))
        },
        () if free < kept => HostCheck {
            fix: "Free some, or lower sandbox.disk_free_mib".to_owned(),
            needed: false,
            ..check(
                NAME,
                Err(format!(
                    "{found}, less than the {} MiB that are to stay free (sandbox.disk_free_mib): commands can \
                     make no file longer",
                    kept / MIB
                )),
            )
        },
        () => check(NAME, Ok(found)),
    }
}

fn port(listen: SocketAddr, served: DirectoryUse) -> HostCheck {
    const NAME: &str = "port";
    match BoundPort::take(listen) {
        Ok(_) if listen.port() == 0 => check(NAME, Ok("any that is free".to_owned())),
        Ok(_) => check(NAME, Ok(format!("{listen} is free"))),
        Err(wrong) => match served {
            DirectoryUse::At(at) if at != listen => {
                let said =
                    format!("{}; the heddle that serves the data directory listens on {at}", wrong.said);
                check(NAME, Err(said))
            }
            DirectoryUse::At(_) | DirectoryUse::Somewhere => {
                check(NAME, Ok(format!("{listen} is taken, as it should be by the running heddle")))
            }
            DirectoryUse::No => check(NAME, Err(wrong.said)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_lets_nobody_in_until_it_is_opened_and_is_nobody_elses_then() {
        let door = BoundPort::take("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let listen = door.0.local_addr().expect("an address");
        assert!(std::net::TcpStream::connect(listen).is_err(), "it is not open yet");
        let open = door.open().expect("it opens");
        std::net::TcpStream::connect(listen).expect("it is open");
        let wrong = BoundPort::take(listen).expect_err("it is taken");
        assert!(wrong.passes, "{wrong:?}");
        let wrong = wrong.said;
        assert!(wrong.contains("another program listens there") && wrong.contains("--listen"), "{wrong}");
        drop(open);
        let nowhere = BoundPort::take("192.0.2.1:1".parse().expect("an address")).expect_err("not ours");
        assert!(!nowhere.passes && nowhere.said.contains("this machine has no such address"), "{nowhere:?}");
    }
}
