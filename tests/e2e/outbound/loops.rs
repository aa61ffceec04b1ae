//! Requests that come back.

use std::sync::Arc;

use http::Request;
use mte_client::Body;
use parking_lot::Mutex;

use super::{APP, Chain, LOOPBACK, ask, lines, outbound, relay_a, tap::Tap};
use crate::harness::{HOST, Message, Setup, Upstream, Wire, reply, run};

#[test]
fn a_relay_that_is_its_own_peer_refuses_the_request_when_it_comes_back() {
    run(async {
        let upstream = Upstream::standard().await;
        // The tenant is the default one, so that a request to the relay's address is its own.
        let a = Setup::default().tenant("*", &upstream.url(), &outbound(LOOPBACK)).start().await;
        // A load balancer in front of it: an address that the relay does not know for its own.
        let front = Tap::new(a.address).await;
        let response = ask(&a, &format!("http://{}", front.address), "GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 508, "{response:?}");
        assert!(response.text().contains("came back"), "{}", response.text());
        assert!(upstream.seen().is_empty());
        a.settled().await;
    });
}

#[test]
fn a_replica_with_the_same_secret_refuses_it_as_well() {
    run(async {
        let upstream = Upstream::standard().await;
        let replica = || Setup::default().tenant("*", &upstream.url(), &outbound(LOOPBACK));
        let (first, second) = (replica().start().await, replica().start().await);
        let peer = format!("http://{}", second.address);
        assert_eq!(ask(&first, &peer, "POST / HTTP/1.1", "body").await.status(), 508);
        assert!(upstream.seen().is_empty());
        // A relay without outbound mode is none of them.
        let other = Setup::default().tenant("*", &upstream.url(), "").start().await;
        assert_eq!(
            ask(&first, &format!("http://{}", other.address), "GET / HTTP/1.1", "").await.status(),
            200
        );
    });
}

#[test]
fn a_request_that_comes_back_through_others_is_refused() {
    run(async {
        // B's upstream sends everything that it gets to A: in the clear, and to A's own tenant.
        let a_address = Arc::new(Mutex::new(None::<std::net::SocketAddr>));
        let back = a_address.clone();
        let upstream = Upstream::serve(move |request| {
            let back = back.lock().unwrap();
            async move {
                let via = request.headers().get("via").expect("via").to_str()?.to_owned();
                let mut wire = Wire::connect(back).await;
                let more = format!("{}via: {via}, 1.1 a-proxy\r\n", lines("http://127.0.0.1:1"));
                wire.send(format!("GET /again HTTP/1.1\r\n{more}\r\n")).await;
                let answer: Message = wire.response(false).await?;
                let mut reply = reply(http_body_util::Full::from(answer.body.clone()));
                *reply.status_mut() = answer.status().try_into()?;
                Ok(reply)
            }
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        *a_address.lock() = Some(chain.a.address);
        let response = chain.ask("GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 508, "{response:?}");
        assert_eq!(chain.upstream.begun(), 1, "once round");
    });
}

#[test]
fn an_entry_is_found_in_the_clear_on_every_route_and_in_sealed_headers() {
    run(async {
        let chain = Chain::new().await;
        chain.ask("GET / HTTP/1.1", "").await;
        let via = chain.upstream.last().header("via").unwrap().to_owned();
        for route in ["/open", "/api/mte-relay", "/"] {
            let lines = format!("host: {APP}\r\nvia: 1.1 another\r\nvia: {via}, 1.0 third\r\n");
            let response = chain.a.ask(&format!("GET {route} HTTP/1.1\r\n{lines}\r\n")).await;
            assert_eq!(response.status(), 508, "{route}");
        }
        let client = chain.a.builder(APP).build().unwrap();
        let request = Request::get("/").header("via", format!("1.1 x, {via}")).body(Body::empty()).unwrap();
        assert_eq!(client.send(request).await.unwrap_err().relay_status(), Some(508));
        // Entries of others are nobody's business.
        let request =
            Request::get("/").header("via", "1.1 mte-0123456789abcdef").body(Body::empty()).unwrap();
        assert_eq!(client.send(request).await.unwrap_err().relay_status(), Some(502), "its upstream is dead");
    });
}

#[test]
fn a_relay_without_outbound_mode_has_no_entry_to_look_for() {
    run(async {
        let upstream = Upstream::standard().await;
        let chain = Chain::new().await;
        chain.ask("GET / HTTP/1.1", "").await;
        let via = chain.upstream.last().header("via").unwrap().to_owned();
        let plain =
            Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: ['/*']").start().await;
        let response = plain.ask(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nvia: {via}\r\n\r\n")).await;
        assert_eq!(response.status(), 200);
    });
}

#[test]
fn the_relays_own_listeners_are_no_peers() {
    run(async {
        let a = relay_a("", LOOPBACK).start().await;
        let response = ask(&a, &format!("http://{}", a.address), "GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 403);
        assert_eq!(super::failures(&a, "peer_not_allowed"), 1);
        let mapped = format!("http://[::ffff:127.0.0.1]:{}", a.address.port());
        assert_eq!(ask(&a, &mapped, "GET / HTTP/1.1", "").await.status(), 403);
    });
}
