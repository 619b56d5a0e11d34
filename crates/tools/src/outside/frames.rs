//! Frames between the server and a jail, as the server reads and writes them: everything from a jail is
//! hostile until it is read.

use std::io;
use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Semaphore,
    task::spawn_blocking,
    time::timeout,
};

use super::{content, ending::JailEnding};
use crate::wire::{FRAME_BYTES, FromJail, ToJail};

/// Bytes of the largest frame from a jail: 32 MiB of content and what JSON adds.
const HEARD_BYTES: usize = 33 * 1024 * 1024;
/// Above this a frame is large: only a few are held at once, and not for long.
const LARGE_BYTES: usize = 1024 * 1024;
/// How long a large frame may take to come.
const LARGE: Duration = Duration::from_secs(30);
/// Above this a frame is read on a thread that may block.
const BLOCKING_BYTES: usize = 128 * 1024;
/// Commas and brackets in a frame, text included: they bound what reading it takes in memory. The text of
/// an outcome has at most 120,000 characters and base64 has none of these.
const STRUCTURE: usize = 150_000;

/// How many large frames all jails together may have under way, so that they do not fill the memory.
#[derive(Debug)]
pub(super) struct FrameLanes(Semaphore);

impl Default for FrameLanes {
    fn default() -> Self {
        Self(Semaphore::new(2))
    }
}

/// The next thing that the jail says, checked.
pub(super) async fn hear(
    from: &mut (impl AsyncRead + Unpin),
    lanes: &FrameLanes,
) -> Result<FromJail, JailEnding> {
    let length = from.read_u32().await.map_err(|_| JailEnding::Died)? as usize;
    if length == 0 || length > HEARD_BYTES {
        return Err(JailEnding::Broken("it sent a frame of a length that there is not"));
    }
    if length <= LARGE_BYTES {
        return frame(from, length).await;
    }
    let _lane = lanes.0.acquire().await.map_err(|_| JailEnding::Stopping)?;
    timeout(LARGE, frame(from, length))
        .await
        .unwrap_or(Err(JailEnding::Broken("it took too long to send a large frame")))
}

async fn frame(from: &mut (impl AsyncRead + Unpin), length: usize) -> Result<FromJail, JailEnding> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await.map_err(|_| JailEnding::Died)?;
    if length <= BLOCKING_BYTES {
        return read(&bytes);
    }
    spawn_blocking(move || read(&bytes)).await.unwrap_or(Err(JailEnding::Broken(UNREADABLE)))
}

const UNREADABLE: &str = "it sent a frame that is not of the protocol";

fn read(bytes: &[u8]) -> Result<FromJail, JailEnding> {
    if bytes.iter().filter(|byte| b",[{".contains(byte)).count() > STRUCTURE {
        return Err(JailEnding::Broken("it sent a frame of too many parts"));
    }
    let said: FromJail = serde_json::from_slice(bytes).map_err(|_| JailEnding::Broken(UNREADABLE))?;
    if let FromJail::Done { outcome, .. } = &said {
        content::check(&outcome.content).map_err(JailEnding::Broken)?;
    }
    Ok(said)
}

/// The body of the frame that says this; `None`: it would be too large.
pub(super) fn encode(message: &ToJail) -> Option<Vec<u8>> {
    serde_json::to_vec(message).ok().filter(|body| body.len() <= FRAME_BYTES)
}

/// Says it.
pub(super) async fn say(to: &mut (impl AsyncWrite + Unpin), body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    to.write_u32(length).await?;
    to.write_all(body).await
}
