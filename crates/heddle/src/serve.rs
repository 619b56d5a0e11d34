//! `heddle serve`: the wiring. Settings, data directory, store, engine, door; and the way down.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::{Clock, Dice, Engine, Parts};
use models::Models;
use store::Store;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::{
    Outcome,
    config::{DATABASE, HOME, Mode, Said, Settled, routes},
    descriptors::Descriptors,
    hands, log, say, seal,
    supervise::{self, Vital},
    terminal,
    warnings::warnings,
};

/// How long requests under way may take once the server is told to stop (rules.md 2, `drain_s`).
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) async fn run(said: Said) -> Outcome {
    let settled = said.settle()?;
    if let Some(weak) = &settled.weak_key {
        return Err(weak.clone().into());
    }
    log::begin(&settled.log)?;
    let files = Descriptors::raised();
    let open = seal::make(&settled.data)?;
    if !open.is_empty() {
        tracing::warn!("other users of this machine could use {}; no longer", seal::told(&open));
    }
    let locked = seal::lock(&settled.data, seal::lock_was_open(&open))?;
    let hands = hands::ready(&settled).await?;
    let store = Store::sqlite(&settled.data.join(DATABASE))?;
    let models = Models::new(settled.routes.clone(), settled.keys.clone(), settled.net.clone())?;
    // Listen first: a port that is taken must not look like a server that stopped working on its sessions.
    let listener = TcpListener::bind(settled.listen).await.map_err(|wrong| {
        format!("cannot listen on {}: {wrong}; choose another with --listen", settled.listen)
    })?;
    let parts = Parts {
        store,
        oracle: Arc::new(models),
        hands: Arc::new(hands.clone()),
        routes: settled.routes.clone(),
        clock: Clock::wall(),
        dice: Dice::system().map_err(|wrong| format!("no entropy: {wrong}"))?,
        tree: settled.tree,
        cache_bytes: settled.cache_bytes,
    };
    let engine = Engine::start(parts).await?;
    let listen = listener.local_addr()?;
    first_key(&settled, &engine, listen).await?;
    warn(&settled, listen);
    // Whoever reads that it listens may stop it.
    let signals = Signals::new()?;
    say(&format!("listening on http://{listen}\n"));
    let settings = server::Settings {
        workspace: HOME,
        env_key_hash: settled.env_key_hash,
        origins: settled.origins.clone(),
        #[cfg(debug_assertions)]
        end: supervise::end(&engine, &hands),
    };
    let sweep = || engine.mortal(Vital::SandboxSweep.name(), hands::sweep(&hands, &engine));
    tokio::select! {
        served = serve(listener, signals, &engine, settings, files) => served?,
        () = supervise::again(Vital::SandboxSweep, sweep) => {}
        ended = supervise::watch(engine.store()) => return Err(ended.into()),
    }
    drop(locked);
    Ok(())
}

async fn serve(
    listener: TcpListener,
    mut signals: Signals,
    engine: &Engine,
    settings: server::Settings,
    files: Descriptors,
) -> Outcome {
    let (router, keys) = server::router(engine.clone(), settings);
    let (stop, down) = (engine.stop_token(), Notify::new());
    let watching = supervise::once(
        Vital::Signals,
        engine.mortal(Vital::Signals.name(), async {
            tokio::select! {
                () = signals.next() => {}
                // The lease was lost: another process works on this data.
                () = stop.cancelled() => {}
            }
            tracing::info!("stopping: no new work, streams end; a second signal ends all at once");
            down.notify_one();
            signals.next().await;
        }),
    );
    let accepting = server::serve(listener, router, files.connections(), stop.cancelled());
    let accepting = supervise::once(Vital::AcceptLoop, engine.mortal(Vital::AcceptLoop.name(), accepting));
    let serving = async {
        accepting.await?;
        engine.stop().await;
        Ok(())
    };
    let watched_keys = supervise::again(Vital::KeyWatch, || {
        engine.mortal(Vital::KeyWatch.name(), async { keys.run().await })
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

/// The first start on an empty directory makes a key and shows it once (design.md 4, rules.md 11).
async fn first_key(settled: &Settled, engine: &Engine, listen: SocketAddr) -> Outcome {
    if settled.env_key_hash.is_some() || !server::keys::list(engine.store(), HOME).await?.is_empty() {
        return Ok(());
    }
    let entropy = crate::keys::entropy()?;
    let (key, secret) = server::keys::make("first", engine.now(), entropy);
    // The file before the key, so that whenever the server dies there is no key or one that can be read.
    let path = settled.data.join(seal::FIRST_KEY);
    seal::write_secret(&path, secret.expose())
        .map_err(|wrong| format!("the first API key cannot be written to {}: {wrong}", path.display()))?;
    server::keys::keep(engine.store(), HOME, &key, &secret).await?;
    if !std::io::stdout().is_terminal() {
        say(&format!("the first API key is in {}\n", path.display()));
        return Ok(());
    }
    say(&welcome(secret.expose(), listen));
    if terminal::read().is_ok() {
        std::fs::remove_file(&path)?;
    }
    Ok(())
}

fn welcome(key: &str, listen: SocketAddr) -> String {
    format!(
        "\nYour first API key. It is shown once; `heddle keys create` makes more.\n\n    {key}\n\n\
         Python      client = anthropic.Anthropic(base_url=\"http://{listen}\", api_key=\"{key}\")\n\
         TypeScript  const client = new Anthropic({{ baseURL: \"http://{listen}\", apiKey: \"{key}\" }});\n\
         curl        curl http://{listen}/v1/agents -H \"x-api-key: {key}\"\n\n"
    )
}

fn warn(settled: &Settled, listen: SocketAddr) {
    let off = (settled.sandbox.mode == Mode::Off).then(|| hands::OFF.to_owned());
    for warning in warnings(settled, listen).into_iter().chain(off) {
        tracing::warn!("{warning}");
        say(&format!("WARNING: {warning}\n"));
    }
    for route in settled.routes.0.iter().filter(|route| route.pattern == routes::CLAUDE) {
        if let Some(name) = settled.unset_key(route) {
            tracing::info!("{name} is not set: agents with a claude-* model can be saved, but not run");
        }
    }
}
