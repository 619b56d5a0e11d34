//! The HTTP client: proxies, certificate roots and deadlines. One for each time within which a provider must
//! be connected to.

use core::{fmt, time::Duration};

use reqwest::{Certificate, Client, ClientBuilder, redirect::Policy};

use crate::BuildError;

/// How providers are reached.
#[derive(Debug, Clone, Default)]
pub struct ProviderNet {
    /// Certificates in PEM, trusted beside the system's own.
    pub extra_ca_pem: Option<Vec<u8>>,
    /// Through which proxy.
    pub proxy: ProviderProxy,
}

/// The proxy between us and the providers. An address may hold a password and is not printed.
#[derive(Clone, Default)]
pub enum ProviderProxy {
    /// As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This one, for every request: `http://HOST:PORT`.
    At(String),
}

impl fmt::Debug for ProviderProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Direct => "Direct",
            Self::At(_) => "At(..)",
        })
    }
}

/// A checked [`ProviderNet`], from which the client can be built.
#[derive(Debug)]
pub(crate) struct ProviderReach {
    extra: Vec<Certificate>,
    proxy: Option<reqwest::Proxy>,
    direct: bool,
}

impl ProviderReach {
    pub(crate) fn new(net: ProviderNet) -> Result<Self, BuildError> {
        let extra = match &net.extra_ca_pem {
            Some(pem) => certificates(pem)?,
            None => Vec::new(),
        };
        let proxy = match &net.proxy {
            ProviderProxy::Environment | ProviderProxy::Direct => None,
            ProviderProxy::At(address) => Some(reqwest::Proxy::all(address).map_err(|_| BuildError::Proxy)?),
        };
        Ok(Self { extra, proxy, direct: matches!(net.proxy, ProviderProxy::Direct) })
    }

    /// A client that gives up after `connect` without a connection. Reads the system's certificates, so it is
    /// built with the first request.
    pub(crate) fn client(&self, connect: Duration) -> Result<Client, reqwest::Error> {
        // An error only says that someone installed a provider before.
        drop(rustls::crypto::ring::default_provider().install_default());
        self.builder(connect).tls_certs_merge(self.extra.clone()).build().or_else(|error| {
            let client = self.builder(connect).tls_certs_only(self.extra.clone()).build()?;
            tracing::warn!(%error, "no CA certificates found: only http:// providers can be reached");
            Ok(client)
        })
    }

    fn builder(&self, connect: Duration) -> ClientBuilder {
        let builder = Client::builder()
            .user_agent(concat!("heddle/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(connect);
        match &self.proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None if self.direct => builder.no_proxy(),
            None => builder,
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, BuildError> {
    let certificates = Certificate::from_pem_bundle(pem).map_err(|_| BuildError::ExtraCa)?;
    if certificates.is_empty() { Err(BuildError::ExtraCa) } else { Ok(certificates) }
}
