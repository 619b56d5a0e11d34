//! Brings up 127.0.0.1 of the jail's own, empty network, so that an agent can test a server inside.

use std::io;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// NETLINK_ROUTE is protocol 0.
const ROUTE: Option<Protocol> = None;
const RTM_NEWLINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
const IFF_UP: u32 = 1;
/// In every network namespace.
const LOOPBACK_INDEX: u32 = 1;
const MESSAGE_BYTES: u32 = 32;

/// One netlink message: "the link 1 is up" (man 7 rtnetlink: nlmsghdr, then ifinfomsg).
pub(crate) fn up() -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, ROUTE)?;
    let mut message = Vec::new();
    message.extend(MESSAGE_BYTES.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend(1u32.to_ne_bytes()); // sequence
    message.extend(0u32.to_ne_bytes()); // port: the kernel chooses
    message.extend([0; 4]); // family, padding, device type
    message.extend(LOOPBACK_INDEX.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes()); // flags
    message.extend(IFF_UP.to_ne_bytes()); // which of them change
    send(&socket, &message, SendFlags::empty())?;

    let mut answer = [0u8; 1024];
    recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let word = |from: usize| answer.get(from..from + 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let kind = answer.get(4..6).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).map(u16::from_ne_bytes);
    match (kind, word(16).map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(io::Error::from_raw_os_error(-error)),
        (Some(_) | None, _) => Err(io::ErrorKind::InvalidData.into()),
    }
}
