//! Failures that count against a peer: its own, and never those that a client causes.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::Request;
use mte_client::{Body, BoxError, RelayClient, wire::BodyPlan};
use mte_codec::Sealer;
use tokio::io::AsyncWriteExt;

use super::{Fleet, status};
use crate::harness::{
    Authority, HOST, Pattern, Session, Setup, Upstream, Wire, channel, eventually, reply, run,
};

/// A relay that ejects at the first failure, with a TLS listener, in front of two peers.
struct TwoPeers {
    fleet: Fleet,
    authority: Authority,
    _folder: tempfile::TempDir,
}

/// The HTTP version to the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

impl TwoPeers {
    async fn new(peers: Vec<Upstream>, version: Version, timeouts: &str) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(folder.path(), HOST, "");
        let http2 = if version == Version::Http2 { "always" } else { "never" };
        let tenant = format!("{tls}\nupstream_tls: {{http2: {http2}}}\npass_through_routes: ['/open/*']");
        let list: Vec<_> = peers.iter().map(|peer| format!("'{}'", peer.url())).collect();
        let upstream = format!("{{peers: [{}], ejection: {{failures: 1, time: 60s}}}}", list.join(", "));
        let setup = Setup::default().top(&format!("timeouts: {{{timeouts}}}"));
        let relay = setup.tenant(HOST, &upstream, &tenant).start().await;
        Self { fleet: Fleet { relay, peers }, authority, _folder: folder }
    }

    async fn standard(version: Version, timeouts: &str) -> Self {
        Self::new(vec![Upstream::standard().await, Upstream::standard().await], version, timeouts).await
    }

    /// A client over TLS.
    fn client(&self, http2: bool) -> RelayClient {
        RelayClient::builder(format!("https://{HOST}"))
            .connect_to(self.fleet.relay.tls.unwrap())
            .root_certificates(vec![self.authority.root()])
            .http2(http2)
            .pairs(2)
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap()
    }

    /// Checks that no failure counts against a peer, and that both receive requests.
    async fn blames_no_peer(&self, what: &str) {
        self.fleet.relay.settled().await;
        assert_eq!(self.fleet.failures(), BTreeMap::new(), "{what}");
        assert_eq!(self.fleet.health(), ["unchecked"; 2], "{what}");
    }

    /// A sealed upload of which three frames are sent, but not its end.
    async fn half_an_upload(&self) -> (Wire, Sealer) {
        let session = Session::new(&self.fleet.relay).await;
        let head = session.seal_head(Request::post("/").body(()).unwrap(), BodyPlan::Unknown);
        let mut sealer = Sealer::new(head.body.as_ref().unwrap(), &mut rand::rng()).unwrap();
        let mut wire = self.fleet.relay.wire().await;
        wire.send(session.head("POST", &head.path, &head.headers, "transfer-encoding: chunked\r\n")).await;
        for _ in 0..3 {
            wire.chunk(&sealer.seal(&Pattern::bytes(65_536), false).unwrap()).await;
        }
        (wire, sealer)
    }

    /// A plain upload that is not completed.
    async fn half_a_plain_upload(&self, framing: &str, beginning: &[u8]) -> Wire {
        let mut wire = self.fleet.relay.wire().await;
        wire.send(format!("POST /open/x HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n\r\n")).await;
        wire.send(beginning).await;
        wire
    }

    fn begun(&self) -> usize {
        self.fleet.peers.iter().map(Upstream::begun).sum()
    }
}

#[test]
fn an_upload_that_stalls_is_408_and_counts_against_no_peer() {
    run(async {
        for version in VERSIONS {
            let two_peers = TwoPeers::standard(version, "read: 1s").await;
            let (mut sealed, _) = two_peers.half_an_upload().await;
            let mut plain = [
                two_peers.half_a_plain_upload("content-length: 1000", b"a part").await,
                two_peers.half_a_plain_upload("content-length: 100000", b"").await,
                two_peers.half_a_plain_upload("content-length: 200000", &[b'x'; 100_000]).await,
                two_peers.half_a_plain_upload("transfer-encoding: chunked", b"5\r\nhello\r\n").await,
            ];
            for wire in plain.iter_mut().chain([&mut sealed]) {
                let answer = wire.response(false).await.unwrap();
                assert_eq!(
                    (answer.status(), answer.json()["status"].as_u64()),
                    (408, Some(408)),
                    "{version:?}"
                );
            }
            assert!(two_peers.begun() >= 5, "the requests reach the peers");
            drop((plain, sealed));
            two_peers.blames_no_peer(&format!("{version:?}")).await;
        }
    });
}

#[test]
fn an_upload_over_http2_that_stalls_is_408_and_counts_against_no_peer() {
    run(async {
        for version in VERSIONS {
            let two_peers = TwoPeers::standard(version, "read: 1s").await;
            let client = two_peers.client(true);
            client.pair().await.unwrap();
            for beginning in [100, 200_000] {
                let (pieces, body) = channel();
                pieces.send(Ok(Pattern::bytes(beginning))).await.unwrap();
                let error = client.post("/", Body::wrap(body)).await.unwrap_err();
                assert_eq!(error.relay_status(), Some(408), "{version:?}, {beginning}: {}", error.report());
                drop(pieces);
            }
            assert!(two_peers.begun() >= 1, "the second reaches a peer");
            drop(client);
            two_peers.blames_no_peer(&format!("{version:?}")).await;
        }
    });
}

#[test]
fn an_upload_that_outlasts_the_wait_for_an_http2_peer_is_408_and_counts_against_no_peer() {
    run(async {
        let two_peers = TwoPeers::standard(Version::Http2, "read: 1s").await;
        for http2 in [false, true] {
            let client = two_peers.client(http2);
            let (pieces, body) = channel();
            tokio::spawn(async move {
                while pieces.send(Ok(Pattern::bytes(70_000))).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            let error = client.post("/", Body::wrap(body)).await.unwrap_err();
            assert_eq!(error.relay_status(), Some(408), "client http2 {http2}: {}", error.report());
        }
        two_peers.blames_no_peer("moving").await;
    });
}

#[test]
fn a_client_that_disconnects_or_resets_its_stream_counts_against_no_peer() {
    run(async {
        for version in VERSIONS {
            let two_peers = TwoPeers::standard(version, "read: 20s").await;
            for rudely in [false, true] {
                let before = two_peers.begun();
                let sealed = two_peers.half_an_upload().await.0;
                let plain = two_peers.half_a_plain_upload("content-length: 100000", b"a part").await;
                eventually("both uploads have begun", || two_peers.begun() == before + 2).await;
                for wire in [sealed, plain] {
                    if rudely { wire.reset() } else { drop(wire) }
                }
            }
            let before = two_peers.begun();
            let client = two_peers.client(true);
            let (pieces, body) = channel();
            let posting = tokio::spawn(async move { client.post("/", Body::wrap(body)).await });
            pieces.send(Ok(Pattern::bytes(200_000))).await.unwrap();
            eventually("the upload has begun", || two_peers.begun() == before + 1).await;
            pieces.send(Err(BoxError::from("changed my mind"))).await.unwrap();
            posting.await.unwrap().unwrap_err();
            two_peers.blames_no_peer(&format!("{version:?}")).await;
        }
    });
}

#[test]
fn a_body_that_fails_to_verify_late_counts_against_no_peer() {
    run(async {
        for version in VERSIONS {
            let two_peers = TwoPeers::standard(version, "read: 20s").await;
            let (mut wire, mut sealer) = two_peers.half_an_upload().await;
            let mut part = Vec::from(sealer.seal(&Pattern::bytes(65_536), false).unwrap());
            *part.last_mut().unwrap() ^= 1;
            wire.chunk(&part).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 400, "{version:?}");
            drop(wire);
            two_peers.blames_no_peer(&format!("{version:?}")).await;
        }
    });
}

/// A peer that sends an endless response until sending is blocked for `timeout`, and then resets the connection.
async fn endless(timeout: Duration) -> Upstream {
    Upstream::raw(move |mut wire: Wire, _| async move {
        if wire.request().await.is_err() {
            return;
        }
        wire.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await;
        let piece = vec![b'x'; 64 << 10];
        while let Ok(Ok(())) = tokio::time::timeout(timeout, wire.stream.write_all(&piece)).await {}
        wire.reset();
    })
    .await
}

#[test]
fn a_client_that_does_not_take_its_response_counts_against_no_peer() {
    run(async {
        let long = Duration::from_secs(60);
        // Either the relay closes the client's connection, or the peer resets the relay's.
        for (timeout, timeouts) in [(long, "write: 1s, read: 20s"), (Duration::from_secs(2), "write: 20s")] {
            let peers = vec![endless(timeout).await, endless(timeout).await];
            let two_peers = TwoPeers::new(peers, Version::Http1, timeouts).await;
            for _ in 0..2 {
                let mut wire = two_peers.fleet.relay.wire().await;
                wire.send(format!("GET /open/x HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                assert_eq!(wire.head().await.unwrap().status(), 200);
                eventually("the connection to the peer is closed", || {
                    two_peers.fleet.peers.iter().all(|peer| peer.open() == 0)
                })
                .await;
                while wire.some().await.is_some() {}
            }
            two_peers.blames_no_peer(timeouts).await;
        }
    });
}

#[test]
fn a_peer_that_gives_up_on_a_stalled_upload_is_not_blamed() {
    run(async {
        let impatient = || async {
            Upstream::raw(|mut wire: Wire, _| async move {
                if wire.head().await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(1_500)).await;
                    wire.reset();
                }
            })
            .await
        };
        let peers = vec![impatient().await, impatient().await];
        let two_peers = TwoPeers::new(peers, Version::Http1, "read: 20s").await;
        let (mut sealed, _) = two_peers.half_an_upload().await;
        let mut plain = two_peers.half_a_plain_upload("content-length: 100000", b"a part").await;
        for wire in [&mut plain, &mut sealed] {
            assert_eq!(wire.response(false).await.unwrap().status(), 502);
        }
        drop((plain, sealed));
        two_peers.blames_no_peer("impatient").await;
    });
}

#[test]
fn a_peer_that_does_not_answer_a_whole_request_is_blamed_over_a_reused_connection_too() {
    run(async {
        for version in VERSIONS {
            let peer = Upstream::serve(async |request: Request<hyper::body::Incoming>| {
                if request.uri().path() == "/hang" {
                    std::future::pending::<()>().await;
                }
                Ok(reply(http_body_util::Empty::<Bytes>::new()))
            });
            let two_peers =
                TwoPeers::new(vec![peer.await, Upstream::standard().await], version, "read: 1s").await;
            let client = two_peers.client(false);
            for _ in 0..2 {
                assert_eq!(status(&client, "POST", "/").await, 200);
            }
            let statuses = [status(&client, "POST", "/hang").await, status(&client, "POST", "/hang").await];
            assert!(statuses.contains(&504) && statuses.contains(&200), "{version:?}: {statuses:?}");
            assert_eq!(two_peers.fleet.health(), ["ejected", "unchecked"], "{version:?}");
            let failures = two_peers.fleet.failures();
            assert_eq!(failures, BTreeMap::from([("read_timeout".to_owned(), 1)]), "{version:?}");
        }
    });
}

#[test]
fn a_peer_that_does_not_take_an_upload_is_blamed() {
    run(async {
        for version in VERSIONS {
            let stuck = || Upstream::serve(async |_| std::future::pending().await);
            let peers = vec![stuck().await, stuck().await];
            let two_peers = TwoPeers::new(peers, version, "read: 2s, write: 2s").await;
            for http2 in [false, true] {
                let client = two_peers.client(http2);
                let error = client.post("/", Body::wrap(Pattern::known(64 << 20))).await.unwrap_err();
                let what = format!("{version:?}, client http2 {http2}");
                assert_eq!(error.relay_status(), Some(504), "{what}: {}", error.report());
            }
            assert_eq!(two_peers.fleet.failures().values().sum::<u64>(), 2, "{version:?}");
            assert_eq!(two_peers.fleet.health(), ["ejected"; 2], "{version:?}");
        }
    });
}

#[test]
fn a_peer_that_disconnects_immediately_is_blamed_even_if_the_upload_continues() {
    run(async {
        let breaks = Upstream::raw(|mut wire: Wire, _| async move {
            if wire.head().await.is_ok() {
                wire.reset();
            }
        });
        let two_peers =
            TwoPeers::new(vec![breaks.await, Upstream::standard().await], Version::Http1, "read: 20s").await;
        for _ in 0..2 {
            let _upload = two_peers.half_a_plain_upload("content-length: 100000", b"a part").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        eventually("it is ejected", || two_peers.fleet.health() == ["ejected", "unchecked"]).await;
    });
}
