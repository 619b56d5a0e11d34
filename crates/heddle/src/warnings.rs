//! What is legal and yet worth a word: said when a server starts, and by the doctor.

use std::net::SocketAddr;

use clap::CommandFactory as _;

use crate::{
    Cli,
    config::{Settled, environment},
};

/// One sentence for each, for a server that listens there.
pub(crate) fn warnings(settled: &Settled, listen: SocketAddr) -> Vec<String> {
    let mut warnings: Vec<String> = open(listen).into_iter().collect();
    let mut known = environment::known(&Cli::command());
    known.extend(settled.routes.0.iter().filter_map(|route| route.key_variable.clone()));
    warnings.extend(environment::strays(&environment::names(), &known));
    warnings
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

#[cfg(test)]
mod tests {
    use super::*;

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
