//! The bytes of a connection: a reader that takes nothing for a minute is gone, one that is done with sending
//! is answered, one that speaks TLS is told, and what the kernel holds for one is bounded.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use protocol::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use crate::{connections::ServerConnection, slips::tls};

/// How long a peer may take nothing of what there is for it.
pub(crate) const STALLED: Duration = Duration::from_secs(limits::STALLED_S);

/// How many bytes are read before they are asked for.
const AHEAD: usize = 1024;

/// The first byte of whoever speaks TLS; no request of HTTP begins with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// A stream of bytes that tells its connection what happens on it, and ends where a write stalls.
#[derive(Debug)]
pub(crate) struct ConnectionIo<S> {
    stream: S,
    connection: Arc<ServerConnection>,
    stall: Option<Pin<Box<Sleep>>>,
    /// What was read before it was asked for.
    ahead: Bytes,
    /// Whether the peer sends no more.
    ended: bool,
    /// Whether it has sent anything.
    spoken: bool,
}

impl<S> ConnectionIo<S> {
    pub(crate) fn new(stream: S, connection: Arc<ServerConnection>) -> Self {
        Self { stream, connection, stall: None, ahead: Bytes::new(), ended: false, spoken: false }
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

impl<S: AsyncRead + Unpin> ConnectionIo<S> {
    /// Looks whether the peer is there still while it is answered: nobody reads then, and an answer may be
    /// silent for long. Asked whenever the connection is.
    fn look(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended || !self.ahead.is_empty() || !self.connection.answers() {
            return Ok(());
        }
        let mut space = [0; AHEAD];
        let mut buffer = ReadBuf::new(&mut space);
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            read?;
            self.ahead = Bytes::copy_from_slice(buffer.filled());
            self.ended = self.ahead.is_empty();
            if self.ended {
                self.connection.left().cancel();
            }
            // Whoever waits for these bytes, or for the end, was not told.
            cx.waker().wake_by_ref();
        }
        Ok(())
    }
}

impl<S: AsyncWrite + Unpin> ConnectionIo<S> {
    /// Tells a peer that speaks TLS what it speaks to, as well as can be: in plain HTTP, if there is room.
    fn tell_of_tls(&mut self, cx: &mut Context<'_>) -> io::Error {
        self.connection.speaks_tls();
        let (length, told) = (tls::TOLD.len() + 1, tls::TOLD);
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{told}\n"
        );
        let _written = Pin::new(&mut self.stream).poll_write(cx, answer.as_bytes());
        io::Error::new(io::ErrorKind::InvalidData, "the peer speaks TLS")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ConnectionIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let filled = buffer.filled().len();
        if !this.ahead.is_empty() {
            buffer.put_slice(&this.ahead.split_to(this.ahead.len().min(buffer.remaining())));
        } else if !this.ended {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        }
        if let Some(first) = buffer.filled().get(filled) {
            let is_tls = !this.spoken && *first == TLS_HANDSHAKE;
            this.spoken = true;
            this.connection.heard();
            if is_tls {
                return Poll::Ready(Err(this.tell_of_tls(cx)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ConnectionIo<S> {
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
        self.look(cx)?;
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
