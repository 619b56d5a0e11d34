//! What is legal and yet worth a word: said when a server starts, and by the doctor.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use clap::CommandFactory as _;
use protocol::routes::{ProviderKey, Route};

use crate::{
    Cli,
    config::{HeddleSettings, environment, variables},
};

/// One sentence for each, for a server that listens there.
pub(crate) fn warnings(settled: &HeddleSettings, listen: SocketAddr) -> Vec<String> {
    let mut warnings: Vec<String> = open(listen).into_iter().collect();
    let room = std::path::absolute(&settled.data).and_then(|data| sandbox::room(&data));
    // A disk that cannot be asked is somebody else's to complain of.
    warnings.extend(room.ok().and_then(|room| little(settled.sandbox.limits.free_bytes, room)));
    warnings.extend(settled.doubts.iter().cloned());
    warnings.extend(settled.routes.0.iter().filter_map(keyless));
    warnings.extend(settled.routes.0.iter().filter_map(open_key));
    let mut known = environment::known(&Cli::command());
    known.extend(variables(&settled.routes).map(str::to_owned));
    warnings.extend(environment::strays(&environment::names(), &known));
    warnings
}

/// What follows if the file that is to hold a route's key holds none.
fn keyless(route: &Route) -> Option<String> {
    let Some(ProviderKey::File(path)) = &route.key else { return None };
    let why = models::has_key(path).err()?;
    Some(format!(
        "no agent with a model of {} can run: the file {path} {why}; a key that is written there is taken at once",
        route.pattern
    ))
}

/// What follows if the file that holds a route's key lets everybody read it.
fn open_key(route: &Route) -> Option<String> {
    let Some(ProviderKey::File(path)) = &route.key else { return None };
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        format!(
            "every user of this machine may read the file {path}, which holds the key of {}: run `chmod o-rwx \
             {path}`",
            route.pattern
        )
    })
}

/// What follows if others can reach the server.
fn open(listen: SocketAddr) -> Option<String> {
    (!listen.ip().to_canonical().is_loopback()).then(|| {
        format!(
            "anybody who reaches {listen} can try keys: put TLS in front of it; whoever asks from another \
             machine needs a key for /metrics, /healthz and /readyz too"
        )
    })
}

/// What follows if the room that is to stay free is not there.
fn little(least_bytes: u64, room: sandbox::DiskRoom) -> Option<String> {
    let [least, free, all] = [least_bytes, room.bytes, room.bytes_all].map(|bytes| bytes >> 20);
    if free >= least {
        return None;
    }
    let never = "so that agents' commands can never make a file longer: set it to less";
    let now = "so that agents' commands can make no file longer: free some room, or set it to less";
    Some(if all <= least {
        format!(
            "`[sandbox] disk_free_mib` is {least}, and the whole disk of the data directory has {all} MiB, {never}"
        )
    } else {
        format!(
            "`[sandbox] disk_free_mib` is {least}, and the disk of the data directory has {free} MiB free, {now}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_to_stay_free_and_is_not_there_is_questioned() {
        let told = |free: u64, all: u64| {
            let room =
                sandbox::DiskRoom { bytes: free << 20, bytes_all: all << 20, entries: 1, entries_all: 1 };
            little(1_024 << 20, room)
        };
        assert_eq!(told(1_024, 2_000), None);
        let low = told(1_000, 2_000).expect("a word");
        assert!(low.contains("is 1024") && low.contains("has 1000 MiB free"), "{low}");
        let never = told(300, 1_024).expect("a word");
        assert!(never.contains("the whole disk") && never.contains("never"), "{never}");
    }

    #[test]
    fn a_key_file_that_everybody_may_read_is_worth_a_word() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key").to_str().expect("a plain path").to_owned();
        let route = Route { key: Some(ProviderKey::File(file.clone())), ..Route::script("m") };
        assert_eq!(open_key(&route), None, "it is not there");
        std::fs::write(&file, "sesame").expect("written");
        for (mode, warns) in [(0o600, false), (0o640, false), (0o644, true)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("ours");
            assert_eq!(open_key(&route).is_some(), warns, "{mode:o}");
        }
    }

    #[test]
    fn only_what_others_can_reach_is_worth_a_word() {
        for (listen, warns) in [
            ("127.0.0.1:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
        ] {
            assert_eq!(open(listen.parse().expect("an address")).is_some(), warns, "{listen}");
        }
    }
}
