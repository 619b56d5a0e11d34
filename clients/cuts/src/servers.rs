//! The two servers of a run: the model server, which stays, and the one that is killed and started again.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::caller::{CutsCaller, KEY};
use crate::process::ServerProcess;

/// How long the server may take to give its first answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the remains of a killed server's sandboxes may take to end.
const REMAINS: Duration = Duration::from_secs(5);

/// Where the binaries are.
#[derive(Debug)]
pub(crate) struct BinaryPaths {
    heddle: PathBuf,
    model_server: PathBuf,
}

impl BinaryPaths {
    /// As `HEDDLE_BIN` and `MODEL_SERVER_BIN` say.
    pub(crate) fn of_environment() -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a test program without a configuration")]
        let read = |name: &str| {
            let missing =
                || io::Error::new(io::ErrorKind::NotFound, format!("set {name} to the binary's path"));
            std::env::var_os(name).map(PathBuf::from).ok_or_else(missing)
        };
        Ok(Self { heddle: read("HEDDLE_BIN")?, model_server: read("MODEL_SERVER_BIN")? })
    }
}

/// The model server, and what the server under test is started with.
#[derive(Debug)]
pub(crate) struct ServerPair {
    heddle: PathBuf,
    data: PathBuf,
    log: PathBuf,
    model: ServerProcess,
}

impl ServerPair {
    /// Starts the model server; data and logs are in `folder`.
    pub(crate) fn start(binaries: BinaryPaths, folder: &Path) -> io::Result<Self> {
        let mut command = Command::new(&binaries.model_server);
        command.args(["--listen", "127.0.0.1:0"]);
        Ok(Self {
            heddle: binaries.heddle,
            data: folder.join("data"),
            log: folder.join("heddle.log"),
            model: ServerProcess::start(command, &folder.join("model-server.log"))?,
        })
    }

    /// The data directory of the server under test.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Starts the server, always on the same data, and waits for its first answer.
    pub(crate) async fn heddle(&self) -> io::Result<(ServerProcess, CutsCaller)> {
        let mut command = Command::new(&self.heddle);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data);
        command.env("HEDDLE_API_KEY", KEY).env("HEDDLE_ANTHROPIC_BASE_URL", self.model.url());
        command.env("ANTHROPIC_API_KEY", "key-of-the-scripted-model");
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let server = ServerProcess::start(command, &self.log)?;
        let caller = CutsCaller::new(server.url())?;
        let first = timeout(ANSWER, caller.get("/v1/sessions?limit=1")).await;
        first.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok((server, caller))
    }

    /// A caller of the model server.
    pub(crate) fn model(&self) -> io::Result<CutsCaller> {
        CutsCaller::new(self.model.url())
    }

    /// How many requests the model server got, or what it says against them.
    pub(crate) async fn referee(&mut self) -> io::Result<Result<u64, String>> {
        if let Some(ended) = self.model.ended()? {
            return Err(io::Error::other(format!("the model server ended by itself with {ended}")));
        }
        let said = self.model()?.get("/referee").await.map_err(io::Error::other)?;
        let requests = said["requests"].as_u64().filter(|many| *many > 0 && said["breaches"] == json!([]));
        Ok(requests.ok_or_else(|| format!("the model's referee says {said}")))
    }

    /// Waits until no process of a sandbox of the killed server lives; says which one still does.
    pub(crate) async fn left_behind(&self) -> Option<String> {
        let data = self.data.to_string_lossy();
        let until = Instant::now() + REMAINS;
        loop {
            let of_jail = |command: &String| command.contains(" jail ") && command.contains(&*data);
            match processes().into_iter().find(of_jail) {
                None => return None,
                Some(command) if Instant::now() > until => return Some(format!("still alive: {command}")),
                Some(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// The command lines of all processes.
fn processes() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let command = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    entries.filter_map(command).map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}
