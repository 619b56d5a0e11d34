//! Frames between the server and a jail, as the jail reads and writes them.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use crate::wire::FRAME_BYTES;

/// The next frame; `None` when the other end has closed between two.
///
/// # Errors
/// The socket's, or `InvalidData` for a frame that is none: the connection is of no use then.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    loop {
        match from.read(&mut length[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            // A signal that an agent's program sends is no reason to end.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    from.read_exact(&mut length[1..])?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Grows with what comes rather than with what was announced.
    let mut frame = Vec::new();
    from.by_ref().take(length as u64).read_to_end(&mut frame)?;
    if frame.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    serde_json::from_slice(&frame).map(Some).map_err(wrong)
}

/// Writes one frame.
///
/// # Errors
/// The socket's, or `InvalidData` for one that is too large.
pub(super) fn write(to: &mut impl Write, frame: &impl Serialize) -> io::Result<()> {
    let frame =
        serde_json::to_vec(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if frame.len() > FRAME_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    to.write_all(&(frame.len() as u32).to_be_bytes())?;
    to.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_written_is_read_and_then_the_end() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"hello").expect("writes");
        let mut from = bytes.as_slice();
        assert_eq!(read::<String>(&mut from).expect("reads"), Some("hello".into()));
        assert_eq!(read::<String>(&mut from).expect("reads"), None);
    }

    /// Interrupted before every byte.
    struct Restless<'a>(&'a [u8], bool);

    impl Read for Restless<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { self.0.read(&mut to[..1]) }
        }
    }

    #[test]
    fn a_signal_cuts_no_frame() {
        let mut bytes = Vec::new();
        write(&mut bytes, &"hello").expect("writes");
        let mut from = Restless(&bytes, false);
        assert_eq!(read::<String>(&mut from).expect("reads"), Some("hello".into()));
        assert_eq!(read::<String>(&mut from).expect("reads"), None);
    }

    #[test]
    fn a_frame_that_is_cut_too_long_or_no_json_is_an_error() {
        for bytes in [&b"\0\0"[..], b"\0\0\0\x05\"ab", b"\xff\xff\xff\xff", b"\0\0\0\x02}{"] {
            assert!(read::<String>(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }
}
