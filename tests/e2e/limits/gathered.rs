//! The total bytes of bodies held in memory.

use http::Request;
use mte_client::{EncodeType, wire::SealedRequest};

use crate::harness::{HOST, Message, Pattern, Relay, Session, Setup, Upstream, Wire, eventually, run};

const OTHER: &str = "other.test";

async fn started(gathered: &str) -> Relay {
    let upstream = Upstream::standard().await;
    let top = format!("limits: {{gathered: {gathered}, max_mte_body: 1MiB}}\ntrusted_proxies: [127.0.0.0/8]");
    let setup = Setup::default().top(&top).tenant(HOST, &upstream.url(), "");
    setup.tenant(OTHER, &upstream.url(), "").start().await
}

async fn session(relay: &Relay, host: &str) -> Session {
    let mut session = Session::with(relay, host).await;
    session.options.encode_type = EncodeType::Mte;
    session
}

fn upload(session: &Session, len: usize) -> (SealedRequest, Vec<u8>) {
    let sealed = session.seal(Request::post("/up").body(Pattern::bytes(len as u64)).unwrap());
    let bytes = session.bytes(&sealed);
    (sealed, bytes)
}

async fn whole(relay: &Relay, session: &Session, len: usize) -> Message {
    let mut wire = relay.wire().await;
    wire.send(upload(session, len).1).await;
    wire.response(false).await.unwrap()
}

/// Sends all but the last bytes of an upload, and waits until the relay holds them.
async fn half(relay: &Relay, session: &Session, len: usize) -> (Wire, Vec<u8>) {
    let (sealed, bytes) = upload(session, len);
    let len = sealed.body.len();
    let mut wire = relay.wire().await;
    let before = relay.shared.gathered.used();
    let (now, later) = bytes.split_at(bytes.len() - 10);
    wire.send(now).await;
    eventually("the relay holds it", || relay.shared.gathered.used() >= before + len - 20).await;
    (wire, later.to_vec())
}

#[test]
fn mte_bodies_beyond_the_budget_are_503_until_memory_is_released() {
    run(async {
        let relay = started("400KiB").await;
        let sessions = [session(&relay, HOST).await, session(&relay, HOST).await];
        let (mut wire, rest) = half(&relay, &sessions[0], 100_000).await;
        let refused = whole(&relay, &sessions[1], 100_000).await;
        assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("1")));
        wire.send(rest).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200, "held bodies continue");
        drop(wire);
        eventually("all bytes are released", || relay.shared.gathered.used() == 0).await;
        assert_eq!(whole(&relay, &sessions[0], 100_000).await.status(), 200);
        relay.deserted().await;
        assert_eq!(relay.shared.gathered.used(), 0);
    });
}

#[test]
fn one_tenants_bodies_do_not_block_anothers() {
    run(async {
        let relay = started("400KiB").await;
        let sessions =
            [session(&relay, HOST).await, session(&relay, HOST).await, session(&relay, OTHER).await];
        let (held, _) = half(&relay, &sessions[0], 140_000).await;
        assert_eq!(whole(&relay, &sessions[1], 30_000).await.status(), 503);
        // Another tenant, from another network.
        let (_, bytes) = upload(&sessions[2], 20_000);
        let line = bytes.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
        let mut wire = relay.wire().await;
        wire.send(&bytes[..line]).await;
        wire.send("x-forwarded-for: 203.0.113.7\r\n").await;
        wire.send(&bytes[line..]).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200);
        drop(held);
    });
}

#[test]
fn mte_responses_count_as_well() {
    run(async {
        let relay = started("300KiB").await;
        let client = relay.builder(HOST).encode_type(EncodeType::Mte).build().unwrap();
        for kind in ["bytes", "stream"] {
            let response = client.get(format!("/{kind}/100000")).await.unwrap();
            assert_eq!(response.into_body().bytes(1 << 20).await.unwrap(), Pattern::bytes(100_000));
        }
        let error = client.get("/bytes/200000").await.unwrap_err();
        assert_eq!(error.relay_status(), Some(503), "{}", error.report());
        // If the length is unknown, the head has been sent when the budget is used up, so the response is cut off.
        let opened = match client.get("/stream/200000").await {
            Ok(response) => response.into_body().bytes(1 << 20).await,
            Err(error) => Err(error),
        };
        opened.unwrap_err();
        drop(client);
        relay.deserted().await;
        assert_eq!(relay.shared.gathered.used(), 0);
    });
}

#[test]
fn unfinished_pairings_count_as_well() {
    run(async {
        let relay = started("64KiB").await;
        let mut wire = relay.wire().await;
        let head = format!("POST /api/mte-pair HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 100000\r\n\r\n");
        wire.send(format!("{head}{}", " ".repeat(40_000))).await;
        eventually("the relay holds it", || relay.shared.gathered.used() >= 40_000).await;
        let mut second = relay.wire().await;
        second.send(format!("{head}{}", " ".repeat(40_000))).await;
        assert_eq!(second.response(false).await.unwrap().status(), 503);
        drop((wire, second));
        eventually("all bytes are released", || relay.shared.gathered.used() == 0).await;
        assert_eq!(relay.client().get("/").await.unwrap().status(), 200);
    });
}
