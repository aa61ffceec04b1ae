//! Which peers are trusted, and whose allowance is used.

use http::Request;
use mte_client::{KemId, wire::Offer};

use super::EdgeRelay;
use crate::harness::{HOST, Relay, Session, Setup, Wire, pairing, run};

const PROXY: &str = "trusted_proxies: [127.0.0.0/8]";

/// The client headers that the upstream receives for a request with these header lines, and the id in the response.
async fn forwarded(edge: &EdgeRelay, lines: &str) -> ([String; 3], String) {
    let answer = edge.relay.ask(&format!("GET /open/a HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n")).await;
    assert_eq!(answer.status(), 200);
    let seen = edge.upstream.last();
    let names = ["x-forwarded-for", "x-forwarded-proto", "x-request-id"];
    let values = names.map(|name| {
        let all: Vec<_> = seen.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        all.join(" | ")
    });
    (values, answer.header("x-request-id").unwrap().to_owned())
}

#[test]
fn client_headers_of_a_trusted_proxy_are_passed_on() {
    run(async {
        let edge = EdgeRelay::new(Setup::default().top(PROXY)).await;
        let lines = "x-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\nx-request-id: theirs-1\r\n";
        let (seen, id) = forwarded(&edge, lines).await;
        assert_eq!(seen, ["203.0.113.7, 127.0.0.1", "https", "theirs-1"]);
        assert_eq!(id, "theirs-1");
        let (seen, _) = forwarded(&edge, "").await;
        assert_eq!(seen[..2], ["127.0.0.1", "http"]);
        // A value that would break a log line is not accepted from any peer.
        let (seen, id) = forwarded(&edge, "x-request-id: a\"b\r\n").await;
        assert_eq!((seen[2].len(), &seen[2]), (16, &id));
    });
}

#[test]
fn client_headers_of_other_peers_are_not_passed_on() {
    run(async {
        let edge = EdgeRelay::new(Setup::default().top("trusted_proxies: [10.0.0.0/8]")).await;
        let lines = "x-forwarded-for: 203.0.113.7\r\nx-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: https\r\n\
                     x-request-id: mine\r\n";
        let (seen, id) = forwarded(&edge, lines).await;
        assert_eq!(seen[..2], ["127.0.0.1", "http"]);
        assert_ne!(seen[2], "mine");
        assert_eq!(seen[2], id);
    });
}

#[test]
fn other_client_headers_are_passed_on_from_trusted_proxies_only() {
    run(async {
        for (trusted, passed) in [(PROXY, true), ("trusted_proxies: [10.0.0.0/8]", false)] {
            let edge = EdgeRelay::new(Setup::default().top(trusted)).await;
            forwarded(&edge, "forwarded: for=1.2.3.4\r\nx-real-ip: 1.2.3.4\r\nx-forwarded-port: 1\r\n").await;
            let names = ["forwarded", "x-real-ip", "x-forwarded-port"];
            assert!(
                names.iter().all(|name| edge.upstream.last().header(name).is_some() == passed),
                "{trusted}"
            );
            // A sealed header is from the client itself, whichever proxy forwarded it.
            let request = Request::get("/").header("x-real-ip", "1.2.3.4").body(mte_client::Body::empty());
            edge.relay.client().send(request.unwrap()).await.unwrap();
            assert_eq!(edge.upstream.last().header("x-real-ip"), None, "{trusted}");
        }
    });
}

/// Pairs on behalf of `client`, as a trusted proxy.
async fn pair(relay: &Relay, client: &str, offer: &Offer) -> u16 {
    let request = pairing(HOST, "", offer);
    let request = request.replacen("\r\n", &format!("\r\nx-forwarded-for: {client}\r\n"), 1);
    relay.ask(&request).await.status()
}

#[test]
fn the_pairing_rate_is_that_of_the_client_behind_trusted_proxies() {
    run(async {
        // Creating keys takes time, in which the allowance is refilled, so they are created beforehand.
        let offers = [(); 5].map(|()| Offer::new(2, KemId::MlKem512));
        let limits = "limits: {pairs_per_second: 1}";
        let edge = EdgeRelay::new(Setup::default().top(PROXY).top(limits)).await;
        assert_eq!(pair(&edge.relay, "203.0.113.7", &offers[0]).await, 200);
        assert_eq!(pair(&edge.relay, "203.0.113.99", &offers[1]).await, 429, "of the same network");
        assert_eq!(pair(&edge.relay, "198.51.100.1", &offers[2]).await, 200);
        let edge = EdgeRelay::new(Setup::default().top(limits)).await;
        assert_eq!(pair(&edge.relay, "203.0.113.7", &offers[3]).await, 200);
        assert_eq!(
            pair(&edge.relay, "198.51.100.1", &offers[4]).await,
            429,
            "an untrusted peer's header is ignored"
        );
    });
}

#[test]
fn a_client_above_its_request_rate_gets_429_and_others_are_served() {
    run(async {
        let edge = EdgeRelay::new(Setup::default().top("limits: {requests_per_second: 1}")).await;
        let (fast, other) = (Session::new(&edge.relay).await, Session::new(&edge.relay).await);
        let sealed = |session: &Session| {
            let sealed = session.seal(Request::get("/").body(Default::default()).unwrap());
            session.bytes(&sealed)
        };
        // So many that even a slow machine exceeds the rate.
        let requests: Vec<_> = (0..30).map(|_| sealed(&fast)).collect();
        let mut wire = edge.relay.wire().await;
        let mut statuses = Vec::new();
        for request in requests {
            let answer = ask(&mut wire, &request).await;
            if answer.status() == 429 {
                assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
                assert_eq!(answer.json()["status"], 429);
            }
            statuses.push(answer.status());
        }
        assert_eq!(statuses[..2], [200, 200], "a burst of twice the rate");
        let refused = statuses.iter().filter(|status| **status == 429).count();
        assert!(refused > 0 && statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        assert_eq!(edge.upstream.seen().len(), statuses.len() - refused);
        assert_eq!(ask(&mut wire, &sealed(&other)).await.status(), 200);
    });
}

async fn ask(wire: &mut Wire, request: &[u8]) -> crate::harness::Message {
    wire.send(request).await;
    wire.response(false).await.unwrap()
}
