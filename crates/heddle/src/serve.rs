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
    hands, log, say, seal,
    warnings::warnings,
};

/// How long requests under way may take once the server is told to stop (rules.md 2, `drain_s`).
const DRAIN: Duration = Duration::from_secs(20);

pub(crate) async fn run(said: Said) -> Outcome {
    let settled = said.settle()?;
    log::begin(&settled.log)?;
    seal::make(&settled.data)?;
    let locked = seal::lock(&settled.data)?;
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
    tokio::select! {
        served = serve(listener, signals, &engine, &settled) => served?,
        () = hands::sweep(&hands, &engine) => {}
    }
    drop(locked);
    Ok(())
}

async fn serve(listener: TcpListener, mut signals: Signals, engine: &Engine, settled: &Settled) -> Outcome {
    let settings = server::Settings {
        workspace: HOME,
        env_key_hash: settled.env_key_hash,
        origins: settled.origins.clone(),
    };
    let router = server::router(engine.clone(), settings);
    let (stop, down) = (engine.stop_token(), Notify::new());
    let watching = async {
        tokio::select! {
            () = signals.next() => {}
            // The lease was lost: another process works on this data.
            () = stop.cancelled() => {}
        }
        tracing::info!("stopping: no new work, streams end; a second signal ends all at once");
        down.notify_one();
        signals.next().await;
    };
    let serving = async {
        server::serve(listener, router, stop.cancelled()).await;
        engine.stop().await;
    };
    let draining = async {
        down.notified().await;
        engine.stop().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = serving => Ok(()),
        () = draining => {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }
        () = watching => Err("ended at once, at the second signal; the next start goes on from here".into()),
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
    let (_, secret) = server::keys::create(engine.store(), HOME, "first", engine.now(), entropy).await?;
    if std::io::stdout().is_terminal() {
        say(&welcome(secret.expose(), listen));
    } else {
        let path = settled.data.join("first-key");
        seal::write_secret(&path, secret.expose())?;
        say(&format!("the first API key is in {}\n", path.display()));
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
