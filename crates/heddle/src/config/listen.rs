//! Where to listen: an address or a name of this machine, and a port.

use std::net::{SocketAddr, ToSocketAddrs as _};

use super::source::{SettingSource, SettingsLedger};

/// Where, if nothing else is said.
pub(super) const LISTEN: &str = "127.0.0.1:7717";

/// What the file says, unless a flag or a variable says something else.
pub(super) fn settle(
    said: Option<(String, SettingSource)>,
    file: String,
    ledger: &mut SettingsLedger,
) -> SocketAddr {
    let text = ledger.take("listen", said, file, String::clone);
    address(text.trim()).unwrap_or_else(|wrong| {
        ledger.mistake("listen", wrong);
        SocketAddr::from(([127, 0, 0, 1], 0))
    })
}

/// The address that `text` means, or what would be right. A name is looked up; of several addresses the first
/// of IPv4 is taken, and else the first.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let example = format!(
        "write an address and a port, such as {LISTEN} (0.0.0.0:7717 for whoever reaches this machine)"
    );
    let named = text.rsplit_once(':').filter(|(name, port)| is_name(name) && port.parse::<u16>().is_ok());
    let Some((name, _)) = named else {
        return Err(format!("`{text}` is no address to listen on; {example}"));
    };
    let found: Vec<SocketAddr> = match text.to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(wrong) => return Err(format!("the name `{name}` cannot be looked up ({wrong}); {example}")),
    };
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("the name `{name}` has no address; {example}"))
}

/// Whether a text can be a machine's name, so that nobody is asked for what is none.
fn is_name(text: &str) -> bool {
    let legal = |at: char| at.is_ascii_alphanumeric() || matches!(at, '.' | '-');
    text.starts_with(|at: char| at.is_ascii_alphabetic()) && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_name_and_a_port_are_where_to_listen_and_all_else_gets_an_example() {
        for (text, expected) in
            [("127.0.0.1:1", "127.0.0.1:1"), ("[::1]:2", "[::1]:2"), ("localhost:3", "127.0.0.1:3")]
        {
            assert_eq!(address(text), Ok(expected.parse().expect("an address")), "{text}");
        }
        for text in [
            "",
            "7717",
            ":7717",
            "localhost",
            "127.0.0.1",
            "http://localhost:7717",
            "::1:7717",
            "a b:1",
            "localhost:70000",
        ] {
            let said = address(text).expect_err("no address");
            assert!(said.starts_with(&format!("`{text}` is no address to listen on; write")), "{said}");
            assert!(said.contains("such as 127.0.0.1:7717"), "{said}");
        }
    }
}
