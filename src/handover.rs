//! Handing the listeners over to a successor (`mte-relay run --upgrade`).
//!
//! Pingora's own way (its answer to SIGQUIT) shuts down whether the hand-over succeeded or not, and keeps accepting beside
//! the successor for five seconds: a client that pairs with one process would find itself at the other. So the listening
//! sockets are sent from here, with Pingora's own means; only once the successor has them does this process stop
//! accepting, at once.

use std::{net::SocketAddr, os::fd::RawFd, path::Path};

use pingora_core::server::Fds;

use crate::config::Listener;

/// Sends the listeners to the successor that waits at `socket`. Blocks for a moment.
///
/// # Errors
/// Why nothing was handed over; the listeners are still this process's.
pub fn send(socket: &Path, listeners: &[Listener]) -> Result<(), String> {
    let table = std::fs::read_to_string("/proc/net/unix").map_err(|error| error.to_string())?;
    if !waits(&table, socket) {
        return Err(format!(
            "no successor waits at {} (start it with `mte-relay run --upgrade`)",
            socket.display()
        ));
    }
    let mut fds = Fds::new();
    for Listener { address, .. } in listeners {
        let fd = find(*address).ok_or_else(|| format!("the listener {address} cannot be found"))?;
        fds.add(address.to_string(), fd);
    }
    let path = socket.display().to_string();
    fds.send_to_sock(path.as_str()).map_err(|error| format!("{path}: {error}"))?;
    Ok(())
}

/// Whether a table like `/proc/net/unix` has a listening socket at this path.
fn waits(table: &str, socket: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    table.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let (flags, path) = (fields.nth(3), fields.nth(3));
        flags == Some(ACCEPTS) && path.is_some_and(|path| Path::new(path) == socket)
    })
}

/// This process's descriptor of the socket that listens on an address: the kernel's tables lead from the address to the
/// socket's inode, and from there to the descriptor.
fn find(address: SocketAddr) -> Option<RawFd> {
    use procfs::{net::TcpState, process::FDTarget};
    let entries = if address.is_ipv4() { procfs::net::tcp() } else { procfs::net::tcp6() }.ok()?;
    let listens = |state: &TcpState| *state == TcpState::Listen;
    let inodes: Vec<_> = entries
        .into_iter()
        .filter(|entry| entry.local_address == address && listens(&entry.state))
        .map(|entry| entry.inode)
        .collect();
    let own = procfs::process::Process::myself().ok()?.fd().ok()?;
    let matches = |target: &FDTarget| matches!(target, FDTarget::Socket(inode) if inodes.contains(inode));
    own.flatten().find(|info| matches(&info.target)).map(|info| info.fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_one_that_listens_at_the_very_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 18834 /run/mte-relay/upgrade.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 18835 /run/other.sock\n";
        assert!(waits(table, Path::new("/run/mte-relay/upgrade.sock")));
        assert!(!waits(table, Path::new("/run/other.sock")));
        assert!(!waits(table, Path::new("/run/mte-relay/upgrade")));
    }

    #[test]
    fn a_listener_is_found_by_its_address() {
        use std::os::fd::AsRawFd;
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(any) else { continue };
            let address = listener.local_addr().unwrap();
            let _client = std::net::TcpStream::connect(address).unwrap();
            assert_eq!(find(address), Some(listener.as_raw_fd()), "{address}");
            drop(listener);
            assert_eq!(find(address), None);
        }
    }
}
