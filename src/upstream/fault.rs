//! Whose fault a failed request is: only the peer's own faults count against it.
//!
//! A client decides how much of a request it sends, how fast, and how fast it takes the response; a peer that gives up on such
//! a client is healthy. So a broken connection counts against a peer only if the client had no part in it, and in doubt it
//! does not: a dead peer will show at the next connection.

use std::{io, net::SocketAddr, time::Duration};

use pingora_core::{Error, ErrorSource, ErrorType};

use super::Failed;

/// A peer that disconnects within this time after connecting was not waiting for the client.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The label for a name that does not resolve, in addition to those of [`label`].
pub const RESOLVE: &str = "resolve";

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client: it disconnected, or was too slow.
    Client,
    /// The relay: it had no file descriptor left, or refused to continue.
    Relay,
    /// The peer. Only this counts against it.
    Peer,
    /// It cannot be determined, or a connection ended that may end at any time.
    Unknown,
}

/// How much of a request has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All of it.
    Whole,
    /// A part, and the relay waits for the rest.
    Part,
    /// A part, and the peer does not take it.
    Held,
}

/// The state of a request when its connection to the peer failed.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How much of the request was sent.
    pub sent: Sent,
    /// Whether the head of the response was received.
    pub answered: bool,
    /// Whether it was upgraded to a tunnel (WebSocket).
    pub tunnel: bool,
    /// Whether the connection had served another request before.
    pub reused: bool,
    /// How long ago the connection was made.
    pub connected: Duration,
}

impl Fault {
    /// Whose fault it is that no connection could be made.
    pub fn of_connecting(error: &Error, address: Option<SocketAddr>) -> Self {
        match os_error(error) {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Self::Relay,
            // No local port is left; over IPv6, it more likely means that there is no IPv6.
            Some(libc::EADDRNOTAVAIL) if address.is_none_or(|address| address.is_ipv4()) => Self::Relay,
            _ => Self::Peer,
        }
    }

    /// Whose fault it is that a request failed at a peer.
    pub fn of_serving(error: &Error, progress: &Progress) -> Self {
        match error.esource() {
            // Pingora leaves the source unset for errors when writing to a client; the relay's own refusals are reported as the
            // client's errors.
            ErrorSource::Downstream | ErrorSource::Unset => Self::Client,
            ErrorSource::Internal => Self::Relay,
            ErrorSource::Upstream => of_upstream(error.etype(), progress),
        }
    }
}

fn of_upstream(kind: &ErrorType, progress: &Progress) -> Fault {
    if progress.tunnel {
        return Fault::Unknown;
    }
    match kind {
        ErrorType::ReadTimedout if progress.sent == Sent::Part => Fault::Client,
        // A peer that answers while it reads may be held up by a client that does not take the answer.
        ErrorType::WriteTimedout if progress.answered => Fault::Unknown,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Fault::Peer,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::InvalidH2 => Fault::Peer,
        // The remaining case is a broken connection, or a broken stream over HTTP/2. An idle one may end at any time.
        _ if progress.reused && !progress.answered => Fault::Unknown,
        _ if progress.sent == Sent::Whole && !progress.answered => Fault::Peer,
        _ if progress.connected < AT_ONCE => Fault::Peer,
        _ => Fault::Unknown,
    }
}

/// How an attempt failed to connect, for the choice of the next address.
pub fn how_connecting_failed(error: &Error) -> Failed {
    // No source address, or none of this family at all: the same as no route.
    let unreachable = matches!(os_error(error), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT));
    let no_route = unreachable || *error.etype() == ErrorType::ConnectNoRoute;
    if no_route { Failed::NoRoute } else { Failed::Connecting }
}

/// The system's error behind Pingora's.
fn os_error(error: &Error) -> Option<i32> {
    let mut cause: &(dyn std::error::Error + 'static) = error.root_cause();
    loop {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        cause = cause.source()?;
    }
}

/// A failure's label in metrics.
pub fn label(kind: &ErrorType) -> &'static str {
    match kind {
        ErrorType::ConnectRefused => "connect_refused",
        ErrorType::ConnectTimedout => "connect_timeout",
        ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::ConnectProxyFailure => "connect",
        ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert => "tls",
        ErrorType::ReadTimedout => "read_timeout",
        ErrorType::WriteTimedout => "write_timeout",
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => "closed",
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
            "protocol"
        }
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_secs(30);

    fn fault(source: ErrorSource, kind: ErrorType, progress: Progress) -> Fault {
        let mut error = Error::new(kind);
        error.esource = source;
        Fault::of_serving(&error, &progress)
    }

    fn upstream(kind: ErrorType, sent: Sent, answered: bool, reused: bool, connected: Duration) -> Fault {
        let progress = Progress { sent, answered, tunnel: false, reused, connected };
        fault(ErrorSource::Upstream, kind, progress)
    }

    #[test]
    fn a_peer_is_never_blamed_for_what_the_client_or_the_relay_did() {
        for sent in [Sent::Whole, Sent::Part, Sent::Held] {
            for answered in [false, true] {
                let progress =
                    Progress { sent, answered, tunnel: false, reused: false, connected: Duration::ZERO };
                for kind in [
                    ErrorType::ReadTimedout,
                    ErrorType::WriteTimedout,
                    ErrorType::ConnectionClosed,
                    ErrorType::H2Error,
                ] {
                    assert_eq!(fault(ErrorSource::Downstream, kind.clone(), progress), Fault::Client);
                    assert_eq!(fault(ErrorSource::Unset, kind.clone(), progress), Fault::Client);
                    assert_eq!(fault(ErrorSource::Internal, kind, progress), Fault::Relay);
                }
            }
        }
    }

    #[test]
    fn a_timeout_is_the_clients_fault_only_while_the_relay_waits_for_its_request() {
        use ErrorType::{ReadTimedout, WriteTimedout};
        for reused in [false, true] {
            assert_eq!(upstream(ReadTimedout, Sent::Part, false, reused, LATE), Fault::Client);
            assert_eq!(upstream(ReadTimedout, Sent::Held, false, reused, LATE), Fault::Peer);
            assert_eq!(upstream(ReadTimedout, Sent::Whole, false, reused, LATE), Fault::Peer);
            assert_eq!(upstream(ReadTimedout, Sent::Whole, true, reused, LATE), Fault::Peer);
            assert_eq!(upstream(WriteTimedout, Sent::Held, false, reused, LATE), Fault::Peer);
            assert_eq!(upstream(WriteTimedout, Sent::Part, true, reused, LATE), Fault::Unknown);
        }
    }

    #[test]
    fn a_broken_connection_is_the_peers_fault_unless_it_may_have_waited_for_the_client() {
        use ErrorType::{ConnectionClosed, H2Error, ReadError, WriteError};
        for kind in [ConnectionClosed, ReadError, WriteError, H2Error] {
            let fault =
                |sent, answered, reused, connected| upstream(kind.clone(), sent, answered, reused, connected);
            assert_eq!(fault(Sent::Whole, false, false, LATE), Fault::Peer);
            assert_eq!(fault(Sent::Part, false, false, LATE), Fault::Unknown);
            assert_eq!(fault(Sent::Part, false, false, Duration::ZERO), Fault::Peer);
            assert_eq!(fault(Sent::Whole, true, false, LATE), Fault::Unknown);
            assert_eq!(fault(Sent::Whole, true, false, Duration::ZERO), Fault::Peer);
            assert_eq!(fault(Sent::Whole, false, true, Duration::ZERO), Fault::Unknown);
        }
        let nonsense = |sent| upstream(ErrorType::InvalidHTTPHeader, sent, false, true, LATE);
        assert_eq!((nonsense(Sent::Whole), nonsense(Sent::Part)), (Fault::Peer, Fault::Peer));
    }

    #[test]
    fn the_end_of_a_tunnel_is_not_a_fault() {
        let progress = Progress {
            sent: Sent::Part,
            answered: true,
            tunnel: true,
            reused: false,
            connected: Duration::ZERO,
        };
        for kind in [ErrorType::ReadTimedout, ErrorType::ConnectionClosed, ErrorType::WriteError] {
            assert_eq!(fault(ErrorSource::Upstream, kind, progress), Fault::Unknown);
        }
    }

    #[test]
    fn a_relay_without_descriptors_blames_no_peer() {
        let failed = |code| {
            let inner = Error::because(ErrorType::SocketError, "socket", io::Error::from_raw_os_error(code));
            Error::because(ErrorType::InternalError, "fail to connect", inner)
        };
        let fault = |code, address: &str| Fault::of_connecting(&failed(code), address.parse().ok());
        let (v4, v6) = ("192.0.2.1:80", "[2001:db8::1]:80");
        for code in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS] {
            assert_eq!((fault(code, v4), fault(code, v6)), (Fault::Relay, Fault::Relay));
        }
        assert_eq!(
            (fault(libc::ECONNREFUSED, v4), fault(libc::EAFNOSUPPORT, v6)),
            (Fault::Peer, Fault::Peer)
        );
        assert_eq!(fault(libc::EADDRNOTAVAIL, v4), Fault::Relay, "no port is left");
        assert_eq!(fault(libc::EADDRNOTAVAIL, v6), Fault::Peer, "there is no IPv6");
        assert_eq!(how_connecting_failed(&failed(libc::EAFNOSUPPORT)), Failed::NoRoute);
        assert_eq!(how_connecting_failed(&failed(libc::ECONNREFUSED)), Failed::Connecting);
    }
}
