//! The oracle over TLS: a provider whose certificate only the extra CA vouches for.
//!
//! `tls/` holds a root, and a certificate of `localhost` signed by it with its key; they expire in a
//! hundred years and open nothing but this test.
#![expect(clippy::disallowed_methods, reason = "the provider under test runs beside the test")]
#![expect(clippy::expect_used, reason = "a test may panic")]

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, serve::Listener};
use models::{ModelClient, ProviderKeys, ProviderNet, ProviderProxy, RoutedModels};
use protocol::{
    content::ContentBlock,
    prompt::{
        AnswerBlock, FailureClass, MessagePart, MessageRole, ModelAnswer, ModelFailure, Prompt, PromptMessage,
    },
    routes::{Route, RouteProvider, Routes},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

const ANSWER: &str = "data: {\"type\":\"content_block_start\",\"index\":0,\
                      \"content_block\":{\"type\":\"text\",\"text\":\"hi\"}}\n\n\
                      data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n\
                      data: {\"type\":\"message_stop\"}\n\n";

/// Connections that have shaken hands.
struct Secure {
    plain: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (socket, peer) = self.plain.accept().await.expect("a connection");
            // A client that does not trust us hangs up.
            if let Ok(stream) = self.acceptor.accept(socket).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain.local_addr()
    }
}

async fn provider() -> String {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a matching key");
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = plain.local_addr().expect("an address").port();
    let listener = Secure { plain, acceptor: TlsAcceptor::from(Arc::new(config)) };
    let doors = Router::new().fallback(async || ANSWER);
    tokio::spawn(async move { axum::serve(listener, doors).await });
    format!("https://localhost:{port}")
}

async fn asked(base_url: String, extra_ca_pem: Option<Vec<u8>>) -> Result<ModelAnswer, ModelFailure> {
    let route = Route {
        provider: RouteProvider::Messages,
        base_url,
        window: 1,
        window_known: true,
        max_output: 1,
        ..Route::script("claude-*")
    };
    let net = ProviderNet { extra_ca_pem, proxy: ProviderProxy::Direct };
    let models = RoutedModels::new(Routes(vec![route]), ProviderKeys::default(), net).expect("good settings");
    let parts = vec![MessagePart::Content(ContentBlock::text("hi"))];
    let messages = vec![Arc::new(PromptMessage { role: MessageRole::User, parts })];
    let prompt =
        Prompt { model: "claude-test".to_owned(), system: None, tools: vec![], messages, counted: None };
    models.ask(&prompt, &mut |_| {}).await
}

#[tokio::test]
async fn a_certificate_is_trusted_with_the_extra_ca_and_only_with_it() {
    let base_url = provider().await;
    let trusted = asked(base_url.clone(), Some(include_bytes!("tls/ca.pem").to_vec())).await;
    let blocks = vec![AnswerBlock::Text { text: "hi".to_owned() }];
    assert_eq!(trusted.map(|answer| answer.blocks), Ok(blocks));
    let strange = asked(base_url.clone(), None).await.expect_err("a failure");
    assert_eq!(strange.class, FailureClass::Unavailable);
    let begin = format!("The model provider at {base_url} cannot be reached: ");
    assert!(strange.message.starts_with(&begin) && strange.message.contains("certificate"), "{strange}");
}
