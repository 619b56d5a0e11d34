//! What people get wrong about how a server of plain HTTP is spoken to: over TLS.

/// What a client is told, in plain HTTP, that speaks TLS to this server. It will not show it, but who looks
/// at what came sees it, and the server's log says the same.
pub(crate) const TOLD: &str = "this server speaks plain HTTP here: write http:// in the base URL, or put a proxy that \
                               speaks TLS in front";
