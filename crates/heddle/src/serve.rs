//! `heddle serve`: the wiring. Settings, data directory, store, engine, door; and the way down.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{Clock, Engine, EngineFault, EngineParts, SeededEntropy};
use models::RoutedModels;
use protocol::routes::Route;
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::{
    Outcome, Wrong,
    config::{HOME, HeddleSettings, SaidFlags, SandboxMode, environment},
    descriptors::FileDescriptors,
    ground, hands, lock, log, say,
    seal::{self, DATABASE},
    secret,
    supervise::{self, VitalTask},
    terminal,
    warnings::warnings,
};

/// The name of the key that the first start makes.
const FIRST: &str = "first";
/// How long requests under way may take once the server is told to stop (docs/rules.md 2).
const DRAIN: Duration = Duration::from_secs(20);
/// Signals that come within so long are one.
const TOGETHER: Duration = Duration::from_millis(100);

pub(crate) async fn run(said: SaidFlags) -> Outcome {
    let settled = said.settle()?;
    if let Some(weak) = &settled.weak_key {
        return Err(weak.clone().into());
    }
    log::begin(&settled.log)?;
    terminal::begin()?;
    // A limit on the size of files (`LimitFSIZE=`) is to fail a write, as a full disk does, and to end
    // nobody: for that it is enough that somebody listens.
    drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
    let files = FileDescriptors::raised();
    files.enough()?;
    let models = RoutedModels::new(settled.routes.clone(), settled.keys.clone(), settled.net.clone())?;
    // Nothing is made before all is looked at that can be.
    let door = ground::ready(&settled).await?;
    let hands = hands::ready(&settled, files).await?;
    let open = seal::make(&settled.data)?;
    if !open.is_empty() {
        tracing::warn!("other users of this machine could use {}; no longer", seal::told(&open));
    }
    let locked = lock::take(&settled.data, lock::was_open(&open))?;
    let store = Store::sqlite(&settled.data.join(DATABASE)).map_err(|fault| unstarted(fault.into()))?;
    let listener = door.open()?;
    let at_work = store.busy().await?.len();
    let parts = EngineParts {
        store,
        oracle: Arc::new(models),
        hands: Arc::new(hands.clone()),
        routes: settled.routes.clone(),
        clock: Clock::wall(),
        dice: SeededEntropy::system().map_err(|wrong| format!("no entropy: {wrong}"))?,
        tree: settled.tree,
        cache_bytes: settled.cache_bytes,
    };
    let engine = Engine::start(parts).await.map_err(unstarted)?;
    let listen = listener.local_addr()?;
    if let Err(wrong) = locked.note(listen) {
        tracing::debug!(%wrong, "where this server listens could not be noted in its data directory");
    }
    let key = key_to_tell(&settled, &engine).await?;
    say(&block(&settled, listen, at_work, &key));
    if let KeyToTell::Shown { path, secret } = &key {
        say(&welcome(secret, listen));
        if terminal::settle() && terminal::read().is_ok() {
            std::fs::remove_file(path)?;
        }
    }
    warn(&settled, listen);
    // Whoever reads that it listens may stop it, and finds in the log what was said before.
    let signals = Signals::new()?;
    log::settle();
    say(&format!("listening on http://{listen}\n"));
    let settings = server::Settings {
        workspace: HOME,
        env_key_hash: settled.env_key_hash,
        connections: files.connections(),
        origins: settled.origins.clone(),
        #[cfg(debug_assertions)]
        end: crate::end::door(&engine, &hands),
    };
    let sweep = || engine.mortal(VitalTask::SandboxSweep.name(), hands::sweep(&hands, &engine));
    let watch = || engine.mortal(VitalTask::SandboxWatch.name(), hands.watch());
    tokio::select! {
        served = serve(listener, signals, &engine, settings, files) => served?,
        () = supervise::again(VitalTask::SandboxSweep, sweep) => {}
        () = supervise::again(VitalTask::SandboxWatch, watch) => {}
        ended = supervise::watch(engine.store()) => return Err(ended.into()),
    }
    drop(locked);
    Ok(())
}

/// Why the server does not start, and what to do.
fn unstarted(fault: EngineFault) -> Wrong {
    match fault {
        EngineFault::Store(full @ store::StoreFault::Full { .. }) => {
            format!("{full}, and start the server again; the room that it keeps for this is used up").into()
        }
        EngineFault::Store(_)
        | EngineFault::Corrupt(_)
        | EngineFault::Unreadable(_)
        | EngineFault::Unwritable(_)
        | EngineFault::Memory
        | EngineFault::Contended(_)
        | EngineFault::Taken(_)
        | EngineFault::Died => fault.into(),
    }
}

async fn serve(
    listener: TcpListener,
    mut signals: Signals,
    engine: &Engine,
    settings: server::Settings,
    files: FileDescriptors,
) -> Outcome {
    let (router, keys) = server::router(engine.clone(), settings);
    let (stop, down) = (engine.stop_token(), Notify::new());
    let watching = supervise::once(
        VitalTask::Signals,
        engine.mortal(VitalTask::Signals.name(), async {
            tokio::select! {
                () = signals.next() => {}
                // The lease was lost: another process works on this data.
                () = stop.cancelled() => {}
            }
            tracing::info!("stopping: no new work, streams end; a second signal ends all at once");
            down.notify_one();
            let first = Instant::now();
            // `timeout` and a shell signal a process and its group: what comes at once was meant once.
            while first.elapsed() < TOGETHER {
                signals.next().await;
            }
        }),
    );
    let accepting = server::serve(listener, router, files.connections(), stop.cancelled());
    let accepting =
        supervise::once(VitalTask::AcceptLoop, engine.mortal(VitalTask::AcceptLoop.name(), accepting));
    let serving = async {
        accepting.await?;
        engine.stop().await;
        Ok(())
    };
    let watched_keys = supervise::again(VitalTask::KeyWatch, || {
        engine.mortal(VitalTask::KeyWatch.name(), async { keys.run().await })
    });
    let draining = async {
        down.notified().await;
        engine.stop().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served,
        () = watched_keys => Ok(()),
        () = draining => {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }
        watched = watching => {
            watched?;
            Err("ended at once, at the second signal; the next start goes on from here".into())
        }
    }
}

/// The signals that end a server.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// What a start has to say of keys.
enum KeyToTell {
    /// The first key was made now, and there is a terminal to show it on; it is in this file until that is
    /// done.
    Shown { path: PathBuf, secret: String },
    /// The first key is in this file until somebody has read it.
    InFile(PathBuf),
    /// So many that were made open, and the first start's file is gone.
    Live(usize),
    /// The environment's own opens.
    OfEnvironment,
    /// Every key is revoked.
    NoneLive,
}

/// The first start on an empty directory makes a key; on a terminal it is shown, once
/// (docs/rules.md 11).
async fn key_to_tell(settled: &HeddleSettings, engine: &Engine) -> Result<KeyToTell, Wrong> {
    let path = std::path::absolute(settled.data.join(seal::FIRST_KEY))?;
    let keys = engine::keys::list(engine.store(), HOME).await?;
    let live = keys.iter().filter(|key| key.revoked_at.is_none()).count();
    let first = keys.last().is_some_and(|oldest| oldest.name == FIRST && oldest.revoked_at.is_none());
    match () {
        () if first && path.exists() => return Ok(KeyToTell::InFile(path)),
        () if settled.env_key_hash.is_some() => return Ok(KeyToTell::OfEnvironment),
        () if live > 0 => return Ok(KeyToTell::Live(live)),
        () if !keys.is_empty() => return Ok(KeyToTell::NoneLive),
        () => {}
    }
    let entropy = secret::entropy()?;
    let (key, secret) = engine::keys::make(FIRST, engine.now(), entropy);
    // The file before the key, so that whenever the server dies there is no key or one that can be read.
    secret::write(&path, secret.expose())
        .map_err(|wrong| format!("the first API key cannot be written to {}: {wrong}", path.display()))?;
    engine::keys::keep(engine.store(), HOME, &key, &secret).await?;
    Ok(if std::io::stdout().is_terminal() {
        KeyToTell::Shown { path, secret: secret.expose().to_owned() }
    } else {
        KeyToTell::InFile(path)
    })
}

/// What a start says of the server: one block, above the line that says where it listens.
fn block(settled: &HeddleSettings, listen: SocketAddr, at_work: usize, key: &KeyToTell) -> String {
    let data = std::path::absolute(&settled.data).unwrap_or_else(|_| settled.data.clone());
    let sandbox = match settled.sandbox.mode {
        SandboxMode::Local => "one jail a session, no network",
        SandboxMode::Off => "OFF: commands run as the server's own user",
    };
    let model = |route: &Route| match settled.unset_key(route) {
        Some(name) => format!("{} ({name} is not set)", route.pattern),
        None => route.pattern.clone(),
    };
    let models: Vec<String> = settled.routes.0.iter().map(model).collect();
    let sessions = match at_work {
        0 => "none was at work".to_owned(),
        1 => "one was at work and goes on".to_owned(),
        many => format!("{many} were at work and go on"),
    };
    let key = match key {
        KeyToTell::InFile(path) => {
            format!("the first API key is in {}: read it there, then remove the file", path.display())
        }
        KeyToTell::Shown { .. } => "the first API key is below; it is shown once".to_owned(),
        KeyToTell::Live(live) => {
            let live = if *live == 1 { "one is live".to_owned() } else { format!("{live} are live") };
            format!("{live}; `heddle keys` lists, makes and revokes them, also while this runs")
        }
        KeyToTell::OfEnvironment => format!("the one in {}", environment::API_KEY),
        KeyToTell::NoneLive => {
            "every API key is revoked: `heddle keys create` makes one, also while this runs".to_owned()
        }
    };
    let rows = [
        ("data", data.display().to_string()),
        ("address", format!("http://{listen}")),
        ("sandbox", sandbox.to_owned()),
        ("models", models.join(", ")),
        ("sessions", sessions),
        ("key", key),
    ];
    let columns = terminal::columns();
    let row = |(name, said): (&str, String)| {
        terminal::folded(&format!("  {name:<8}  "), &terminal::one_line(&said), columns) + "\n"
    };
    format!("heddle {}\n{}", env!("CARGO_PKG_VERSION"), rows.map(row).concat())
}

fn welcome(key: &str, listen: SocketAddr) -> String {
    format!(
        "\nYour first API key. It is shown once; `heddle keys create` makes more.\n\n    {key}\n\n\
         Python      client = anthropic.Anthropic(base_url=\"http://{listen}\", api_key=\"{key}\")\n\
         TypeScript  const client = new Anthropic({{ baseURL: \"http://{listen}\", apiKey: \"{key}\" }});\n\
         curl        curl http://{listen}/v1/agents -H \"x-api-key: {key}\"\n\
         heddle      HEDDLE_API_KEY={key} heddle tail SESSION --url http://{listen}\n\n"
    )
}

fn warn(settled: &HeddleSettings, listen: SocketAddr) {
    let off = (settled.sandbox.mode == SandboxMode::Off).then(|| hands::OFF.to_owned());
    // Where both go to one terminal, pipe or file, once is enough; whatever the log leaves out.
    let shared = terminal::is_shared();
    for warning in warnings(settled, listen).into_iter().chain(off) {
        if !shared {
            tracing::warn!("{warning}");
        }
        say(&format!("WARNING: {warning}\n"));
    }
}
