//! Bodies that the relay holds in memory, and clients that never finish them.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mte_client::{EncodeType, KemId, wire::Offer};
use tokio::net::TcpStream;

use super::{BOUND, trickle};
use crate::harness::{Authority, HOST, Pattern, Relay, Session, Setup, Upstream, channel, pairing, run};

const PAUSE: Duration = Duration::from_millis(100);

async fn started(top: &str) -> (Relay, Upstream) {
    let upstream = Upstream::standard().await;
    let relay = Setup::default().top(top).tenant(HOST, &upstream.url(), "").start().await;
    (relay, upstream)
}

fn unfinished_pairing(length: usize) -> String {
    format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn a_trickled_pairing_body_is_408_however_large_its_first_part_was() {
    run(async {
        let (relay, _upstream) = started("timeouts: {read: 1s}").await;
        for first in [1, 700_000] {
            let mut wire = relay.wire().await;
            wire.send(unfinished_pairing(800_000)).await;
            wire.send(vec![b' '; first]).await;
            // Never a second without a byte.
            let (status, taken) = trickle(wire, b" ", PAUSE).await;
            assert_eq!(status, 408, "after {taken:?}");
            assert!(taken < BOUND / 2, "{taken:?}");
        }
        relay.settled().await;
        assert_eq!(relay.shared.gathered.used(), 0);
        assert_eq!(relay.client().get("/").await.unwrap().status(), 200);
    });
}

#[test]
fn a_trickled_pairing_body_is_408_over_http2_as_well() {
    run(async {
        let upstream = Upstream::standard().await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let relay =
            Setup::default().top("timeouts: {read: 1s}").tenant(HOST, &upstream.url(), &tls).start().await;
        let stream = TcpStream::connect(relay.tls.unwrap()).await.unwrap();
        let stream = authority.handshake(stream, HOST, false, true).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (pieces, body) = channel();
        tokio::spawn(async move {
            while pieces.send(Ok(Bytes::from_static(b" "))).await.is_ok() {
                tokio::time::sleep(PAUSE).await;
            }
        });
        let request = Request::post(format!("https://{HOST}/api/mte-pair")).body(Box::pin(body)).unwrap();
        let answer = tokio::time::timeout(BOUND, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(answer.status(), 408);
    });
}

#[test]
fn a_body_that_arrives_fast_enough_is_only_bound_by_the_total_timeout() {
    run(async {
        let (relay, _upstream) = started("timeouts: {body: 1s}").await;
        let mut wire = relay.wire().await;
        wire.send(unfinished_pairing(800_000)).await;
        let (status, taken) = trickle(wire, &[b' '; 5_000], PAUSE).await;
        assert_eq!(status, 408, "after {taken:?}");
    });
}

#[test]
fn a_trickled_encrypted_body_is_408_of_either_type_and_never_reaches_the_upstream() {
    run(async {
        let (relay, upstream) = started("timeouts: {read: 1s}").await;
        let mut session = Session::new(&relay).await;
        for encode_type in [EncodeType::Mke, EncodeType::Mte] {
            session.options.encode_type = encode_type;
            // Before anything is forwarded, a small body is read completely, and a large one to the end of its first frame.
            for len in [20_000, 300_000] {
                let sealed = session.seal(Request::post("/").body(Pattern::bytes(len)).unwrap());
                let bytes = session.bytes(&sealed);
                let mut wire = relay.wire().await;
                wire.send(&bytes[..bytes.len() - len as usize + 5_000]).await;
                let (status, taken) = trickle(wire, b"x", PAUSE).await;
                assert_eq!(status, 408, "{encode_type:?} {len} after {taken:?}");
            }
        }
        assert_eq!(upstream.begun(), 0);
        relay.settled().await;
        assert_eq!(relay.shared.gathered.used(), 0);
    });
}

#[test]
fn a_client_that_pairs_too_fast_is_refused_before_its_body() {
    run(async {
        let (relay, _upstream) = started("limits: {pairs_per_second: 1}").await;
        let offer = pairing(HOST, "", &Offer::new(2, KemId::MlKem512));
        let body = unfinished_pairing(5_000).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
        assert_eq!(relay.ask(&offer).await.status(), 200);
        // There is not even a 100 Continue.
        assert_eq!(relay.ask(&body).await.status(), 429);
        assert_eq!(relay.shared.gathered.used(), 0);
    });
}

#[test]
fn a_pairing_that_is_refused_later_has_used_its_allowance_too() {
    run(async {
        let (relay, _upstream) = started("limits: {pairs_per_second: 1}").await;
        let nonsense = format!("{}[]", unfinished_pairing(2));
        assert_eq!(relay.ask(&nonsense).await.status(), 400);
        assert_eq!(relay.ask(&nonsense).await.status(), 400);
        // On a busy machine, a part of the allowance may have been refilled.
        let mut last = 400;
        for _ in 0..20 {
            last = relay.ask(&nonsense).await.status();
            if last == 429 {
                break;
            }
        }
        assert_eq!(last, 429);
    });
}
