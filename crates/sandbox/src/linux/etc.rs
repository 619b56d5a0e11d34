//! The jail's /etc: made, but for what programs need of the host's and may read.

use std::fs;
use std::path::Path;

use super::mount::directory;
use super::shown::ShownHost;
use crate::fault::{AtStep, JailFault, StartStep};
use crate::system::{ETC, etc_begins};

const MADE: [(&str, &str); 8] = [
    (
        "passwd",
        "root:x:0:0:root:/root:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/bash\n\
                nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    // So that a commit needs no questions first; whatever the agent configures itself comes before it. What
    // it is shown may be another user's.
    ("gitconfig", "[user]\n\tname = agent\n\temail = agent@sandbox.invalid\n[safe]\n\tdirectory = *\n"),
    ("group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
    ("hosts", "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n"),
    ("hostname", "sandbox\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n"),
    ("resolv.conf", ""),
    ("shells", "/bin/sh\n/bin/bash\n"),
];

pub(crate) fn make(root: &Path, shown: &mut ShownHost) -> Result<(), JailFault> {
    let etc = root.join("etc");
    directory(&etc)?;
    for (name, text) in MADE {
        fs::write(etc.join(name), text).of(StartStep::Mounts, name)?;
    }
    let host = Path::new("/etc");
    shown.keep(host)?;
    for name in ETC {
        show_if_there(shown, &host.join(name))?;
    }
    for entry in fs::read_dir(host).into_iter().flatten().flatten() {
        if etc_begins(&entry.file_name()) {
            show_if_there(shown, &entry.path())?;
        }
    }
    Ok(())
}

fn show_if_there(shown: &mut ShownHost, host: &Path) -> Result<(), JailFault> {
    if host.exists() { shown.show(host) } else { Ok(()) }
}
