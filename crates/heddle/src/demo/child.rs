//! A server of the demo's own: this very binary, in a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::{Outcome, Wrong, client::ApiClient, config};

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub(crate) struct DemoServer {
    child: Child,
    pub(crate) listen: SocketAddr,
    pub(crate) url: String,
    /// Its key, which lives as long as the demo.
    pub(crate) key: String,
}

impl DemoServer {
    /// Starts one on `data`; on the address it had before, or on a free port; `key` opens it; `jailed` if
    /// this host can isolate commands.
    pub(crate) async fn start(
        data: &Path,
        listen: Option<SocketAddr>,
        key: String,
        jailed: bool,
    ) -> Result<Self, Wrong> {
        let listen = listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut command = Command::new(std::env::current_exe()?);
        if config::own_provider_key().is_some() {
            // It is said already.
            command.env_remove(config::PROVIDER_KEY);
        }
        let mut child = command
            .arg("serve")
            .args(["--listen", &listen.to_string()])
            .arg("--data")
            .arg(data)
            .args(["--sandbox", if jailed { "local" } else { "off" }])
            .env("HEDDLE_API_KEY", &key)
            .env("HEDDLE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or("a server without an output")?;
        let mut lines = BufReader::new(out).lines();
        let url = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(url) = line.strip_prefix("listening on ") {
                    return Ok(url.to_owned());
                }
            }
            Err(std::io::Error::other("the server ended before it listened"))
        });
        let url = url.await.map_err(|_| "the server did not come up in time")??;
        let listen = url.trim_start_matches("http://").parse()?;
        Ok(Self { child, listen, url, key })
    }

    pub(crate) fn caller(&self) -> Result<ApiClient, reqwest::Error> {
        ApiClient::new(&self.url, &self.key)
    }

    /// SIGKILL: no goodbye.
    pub(crate) async fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill().await
    }

    /// SIGTERM, and waits for a clean end.
    pub(crate) async fn stop(mut self) -> Outcome {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let status = self.child.wait().await?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}
