//! The bytes of a connection: a reader that takes nothing for a minute is gone, and what the kernel holds
//! for one is bounded.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use protocol::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::connections::Connection;

/// How long a peer may take nothing of what there is for it.
pub(crate) const STALLED: Duration = Duration::from_secs(limits::STALLED_S);

/// A stream of bytes that tells its connection what happens on it, and ends where a write stalls.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    connection: Arc<Connection>,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, stall: None }
    }

    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.stall.take().is_some() {
                self.connection.blocked(false);
            }
            return polled;
        }
        let connection = &self.connection;
        let stall = self.stall.get_or_insert_with(|| {
            connection.blocked(true);
            Box::pin(sleep(STALLED))
        });
        if stall.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer has stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > filled {
            self.connection.heard();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A socket holds nothing back, so that a flush neither waits nor says that anything was taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Sets what a connection's socket needs.
pub(crate) fn set(stream: &TcpStream) {
    // Small frames of a stream must not wait for an acknowledgement.
    let told = [stream.set_nodelay(true), bound(stream)];
    for wrong in told.into_iter().filter_map(Result::err) {
        tracing::debug!(%wrong, "an option of a connection could not be set");
    }
}

/// A peer that acknowledges nothing, or has no window, is gone after the same minute, also when all that it
/// was told lies in the kernel; and the kernel takes little more from us than it can send.
#[cfg(target_os = "linux")]
fn bound(stream: &TcpStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(STALLED))?;
    socket.set_tcp_notsent_lowat(u32::try_from(limits::STALLED_READER_BYTES).unwrap_or(u32::MAX))
}

#[cfg(not(target_os = "linux"))]
fn bound(_: &TcpStream) -> io::Result<()> {
    Ok(())
}
