//! The network: nothing of the host's loopback, only the jail's own.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::world::{Answer, alone, outside};

#[test]
fn no_port_of_the_host_can_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached");
    assert_eq!(outside("bash", &connect), Answer::new(0, "reached"));
    let answer = alone().bash(&connect);
    assert_eq!((answer.code, answer.said.contains("Connection refused")), (Some(1), true), "{}", answer.said);
}

#[test]
fn no_abstract_socket_of_the_host_can_be_reached() {
    let name = format!("jail-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let connect = format!(
        "import socket,os
try: socket.socket(socket.AF_UNIX).connect('\\0{name}'); print('reached')
except OSError as e: print(os.strerror(e.errno))"
    );
    assert_eq!(outside("/usr/bin/python3", &connect), Answer::new(0, "reached"));
    assert_eq!(alone().python(&connect), Answer::new(0, "Connection refused"));
}

#[test]
fn nothing_leaves_the_jail_but_servers_inside_can_be_tested() {
    let mut jail = alone();
    let links = jail.bash("grep -o '[a-z0-9]*:' /proc/net/dev");
    assert_eq!(links, Answer::new(0, "lo:"));
    let answer = jail.bash("exec 3<>/dev/tcp/192.0.2.1/80");
    assert!(answer.said.contains("Network is unreachable"), "{}", answer.said);
    let own = "import socket,threading
s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen()
threading.Thread(target=lambda: s.accept()[0].sendall(b'hello')).start()
print(socket.create_connection(('localhost',s.getsockname()[1])).recv(9).decode())";
    assert_eq!(jail.python(own), Answer::new(0, "hello"));
}

#[test]
fn families_that_pass_by_the_network_namespace_are_refused() {
    // AF_VSOCK reaches the hypervisor; the others are large and rarely needed parts of the kernel.
    let script = "import socket,os
for family,kind,protocol in ((40,1,0),(38,5,0),(17,3,0),(29,3,1),(31,3,1),(16,3,12),(16,3,15),(16,3,9)):
  try: socket.socket(family,kind,protocol); print(family,'made')
  except OSError as e: print(family,os.strerror(e.errno))
for family in (1,2,10,16): socket.socket(family, 3 if family==16 else 1, 0)
print('the usual ones are made')";
    let refused: Vec<String> = [40, 38, 17, 29, 31, 16, 16, 16]
        .iter()
        .map(|family| format!("{family} Operation not permitted"))
        .collect();
    let answer = alone().python(script);
    assert_eq!(answer, Answer::new(0, &format!("{}\nthe usual ones are made", refused.join("\n"))));
    // Of these two every kernel knows one at least, so the refusal inside is ours.
    let control = outside("/usr/bin/python3", "import socket; socket.socket(16,3,15); print('made')");
    assert_eq!(control, Answer::new(0, "made"));
}
