//! Who is measured: a process that speaks the wire, and what the kernel says of it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::Outcome;
use crate::line::{KeptConnection, request};

/// What a process prints before its address.
const MARK: &str = "listening on http://";
/// Ticks of `/proc/PID/stat` in a second; Linux tells user space 100 on every machine.
const TICKS: u32 = 100;
/// Room for some dozens of sessions that have run a few turns.
const SMALL_CACHE_BYTES: u64 = 1024 * 1024;
/// How long a process may take until it listens.
const START: Duration = Duration::from_secs(20);

/// A process of ours, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct OwnProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Held, so that it can always write.
    _said: Lines<BufReader<ChildStdout>>,
}

impl OwnProcess {
    /// Starts it, with its log in a file, and waits until it listens.
    pub(crate) async fn start(mut command: Command, log: &Path) -> Outcome<Self> {
        let log = fs::File::create(log)?;
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut said = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let address = tokio::time::timeout(START, async {
            while let Some(line) = said.next_line().await? {
                if let Some((_, address)) = line.split_once(MARK) {
                    return Ok::<_, crate::Wrong>(address.trim().parse()?);
                }
            }
            Err(format!("{command:?} ended before it listened").into())
        });
        let address = address.await??;
        Ok(Self { child, address, _said: said })
    }

    fn of_proc(&self, file: &str) -> Outcome<String> {
        let pid = self.child.id().ok_or("it has ended")?;
        Ok(fs::read_to_string(format!("/proc/{pid}/{file}"))?)
    }

    /// The processor time it has used, all its threads together; its children's not.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        ticks(&self.of_proc("stat")?).ok_or_else(|| "an unknown form of /proc/PID/stat".into())
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> Outcome<f64> {
        resident(&self.of_proc("status")?).ok_or_else(|| "an unknown form of /proc/PID/status".into())
    }
}

/// User and system time of a process.
fn ticks(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_secs(1) * (user + system) / TICKS)
}

fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

/// A server to be measured.
#[derive(Debug)]
pub(crate) struct MeasuredServer {
    pub(crate) process: OwnProcess,
    key: String,
    /// The bodies that create a session with the model that answers at once, and with the slow one.
    create: [String; 2],
}

impl MeasuredServer {
    /// The server on a directory of its own below `place`, with its defaults but for what `settings` say.
    pub(crate) async fn heddle(
        binary: &Path,
        place: &Path,
        models: &[OwnProcess; 2],
        settings: &str,
    ) -> Outcome<Self> {
        fs::create_dir_all(place)?;
        let [quick, slow] = models
            .each_ref()
            .map(|model| format!("provider = \"messages\"\nbase_url = \"http://{}\"\n", model.address));
        let routes = format!("[routes.\"bench-quick\"]\n{quick}[routes.\"bench-slow\"]\n{slow}");
        let file = place.join("heddle.toml");
        fs::write(&file, format!("{routes}{settings}"))?;
        let data = place.join("data");
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
        command.arg("--config").arg(&file);
        let process = OwnProcess::start(command, &place.join("log")).await?;
        let key = fs::read_to_string(data.join("first-key"))?.trim().to_owned();
        let mut subject = Self { process, key, create: [const { String::new() }; 2] };
        let environment = subject.posted("/v1/environments", &json!({"name": "bench"})).await?;
        for (at, name) in ["bench-quick", "bench-slow"].into_iter().enumerate() {
            let agent = subject.posted("/v1/agents", &json!({"name": name, "model": name})).await?;
            let body = json!({"agent": agent["id"], "environment_id": environment["id"]});
            subject.create[at] = body.to_string();
        }
        Ok(subject)
    }

    /// The ceiling, on a database of its own below `place`.
    pub(crate) async fn ceiling(place: &Path, models: &[OwnProcess; 2]) -> Outcome<Self> {
        fs::create_dir_all(place)?;
        let mut command = ours()?;
        command.arg("ceiling").arg("--database").arg(place.join("ceiling.db"));
        for (name, model) in ["--quick", "--slow"].into_iter().zip(models) {
            command.arg(name).arg(format!("http://{}", model.address));
        }
        let process = OwnProcess::start(command, &place.join("log")).await?;
        let create = ["quick", "slow"].map(|agent| json!({"agent": agent}).to_string());
        Ok(Self { process, key: "none".to_owned(), create })
    }

    pub(crate) async fn line(&self) -> Outcome<KeptConnection> {
        KeptConnection::open(self.process.address).await
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        request(self.process.address, method, path, &self.key, body)
    }

    /// The request that creates a session.
    pub(crate) fn creation(&self, slow: bool) -> Vec<u8> {
        self.request("POST", "/v1/sessions", &self.create[usize::from(slow)])
    }

    async fn posted(&self, path: &str, body: &Value) -> Outcome<Value> {
        let answer = self.line().await?.ask(&self.request("POST", path, &body.to_string())).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// A gauge of its metrics.
    pub(crate) async fn gauge(&self, name: &str) -> Outcome<f64> {
        let answer = self.line().await?.ask(&self.request("GET", "/metrics", "")).await?;
        let text = String::from_utf8_lossy(&answer);
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.ok_or_else(|| format!("there is no metric {name}").into())
    }
}

/// What makes the cache of sessions at rest so small that a load fills it: else memory would rise until it is
/// full, whatever is let go. Nothing for a binary that has no such setting.
pub(crate) async fn small_cache(binary: &Path) -> Outcome<String> {
    let sample = Command::new(binary).arg("config").env_clear().output().await?;
    let has =
        String::from_utf8_lossy(&sample.stdout).lines().any(|line| line.trim_start_matches('#') == "[cache]");
    Ok(if has { format!("[cache]\nbytes = {SMALL_CACHE_BYTES}\n") } else { String::new() })
}

/// A model server, which takes so long for each answer.
pub(crate) async fn model(delay: Duration, place: &Path) -> Outcome<OwnProcess> {
    let mut command = ours()?;
    command.args(["model", "--delay-ms", &delay.as_millis().to_string()]);
    OwnProcess::start(command, &place.join(format!("model-{}", delay.as_millis()))).await
}

/// This program once more.
fn ours() -> Outcome<Command> {
    let binary: PathBuf = std::env::current_exe()?;
    Ok(Command::new(binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_are_read_as_the_kernel_writes_them() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 99 99 20 0 5 0 1";
        assert_eq!(ticks(stat), Some(Duration::from_secs(3)));
        assert_eq!(ticks("7 a"), None);
        assert_eq!(resident("Name:\ta\nVmRSS:\t   2 kB\n"), Some(2048.0));
        assert_eq!(resident("Name:\ta\n"), None);
    }
}
