//! Header fields: what goes to the peer, and what comes back.

use http::Response;

use super::{APP, Chain, LOOPBACK};
use crate::harness::{Upstream, reply, run};

#[test]
fn the_token_the_relays_own_fields_and_those_of_the_connection_do_not_go_on() {
    run(async {
        let chain = Chain::new().await;
        let head = "GET / HTTP/1.1\r\nauthorization: Bearer of-the-app\r\ncookie: a=1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
             x-mte-anything: 1\r\nx-mte-outbound-other: 1\r\nx_mte_upstream: 1\r\nx-mte-relay: a,b,1,1,1,1\r\nx-mte-relay-eh: AAAA\r\n\
             connection: keep-alive, x-of-the-hop\r\nx-of-the-hop: 1\r\nte: trailers\r\nkeep-alive: 5\r\nproxy-authorization: Basic eA==\r\n\
             proxy-connection: close\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\nx-forwarded-for: 8.8.8.8\r\nforwarded: for=8.8.8.8\r\n\
             x-real-ip: 8.8.8.8\r\nx-http-method-override: DELETE\r\nx-request-id: of-the-app";
        assert_eq!(chain.ask(head, "").await.status(), 200);
        let seen = chain.upstream.last();
        assert_eq!(seen.header("authorization"), Some("Bearer of-the-app"));
        assert_eq!(seen.header("cookie"), Some("a=1"));
        assert!(seen.header("traceparent").unwrap().contains("0af7651916cd43dd8448eb211c80319c"));
        let names = seen.headers.keys().map(|name| name.as_str());
        let stray: Vec<_> = names
            .filter(|name| {
                name.starts_with("x-mte")
                    || name.starts_with("x_mte")
                    || name.starts_with("proxy-")
                    || [
                        "x-of-the-hop",
                        "te",
                        "keep-alive",
                        "upgrade",
                        "http2-settings",
                        "forwarded",
                        "x-real-ip",
                    ]
                    .contains(name)
                    || *name == "x-http-method-override"
            })
            .collect();
        assert!(stray.is_empty(), "{stray:?}");
        // To B, relay A is the client, whoever it works for.
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.header("x-forwarded-host"), Some(chain.tap.address.to_string().as_str()));
    });
}

#[test]
fn an_entry_in_via_says_where_the_request_came_through() {
    run(async {
        let chain = Chain::new().await;
        chain.ask("GET / HTTP/1.1\r\nvia: 1.0 before, 1.1 another (a proxy)", "").await;
        let via = chain.upstream.last().header("via").unwrap().to_owned();
        let own = via.strip_prefix("1.0 before, 1.1 another (a proxy), 1.1 mte-").expect(&via);
        assert!(own.len() == 16 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{via}");
        assert!(!chain.tap.saw(own), "it is sealed");
    });
}

#[test]
fn a_response_has_the_upstreams_fields_and_this_relays_policies() {
    run(async {
        let upstream = Upstream::serve(|request| async move {
            let mut reply = reply(http_body_util::Full::from("body"));
            *reply.status_mut() = http::StatusCode::CREATED;
            let headers = reply.headers_mut();
            for (name, value) in [
                ("content-type", "text/plain"),
                ("etag", "\"17\""),
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("x-upstream", "yes"),
                ("keep-alive", "timeout=5"),
                ("access-control-allow-origin", "https://upstream.test"),
            ] {
                headers.append(name, value.parse()?);
            }
            let host = request.headers()["host"].to_str()?;
            headers.insert("location", format!("http://{host}/moved?a").parse()?);
            Ok(reply)
        })
        .await;
        let a = format!("{LOOPBACK}\ncors_origins: ['https://app.example']\nheaders: {{x-tenant: a}}");
        let chain = Chain::to(upstream, "", &a, "").await;
        let response = chain.ask("GET / HTTP/1.1\r\norigin: https://app.example", "").await;
        assert_eq!((response.status(), response.text()), (201, "body"));
        for (name, value) in [
            ("content-type", "text/plain"),
            ("etag", "\"17\""),
            ("x-upstream", "yes"),
            ("x-tenant", "a"),
            ("access-control-allow-origin", "https://app.example"),
            // B makes it its own, and A does so again.
            ("location", &format!("http://{APP}/moved?a")),
        ] {
            assert_eq!(response.header(name), Some(value), "{name}");
        }
        assert_eq!(response.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
        for name in ["keep-alive", "x-mte-relay", "x-mte-relay-eh"] {
            assert_eq!(response.header(name), None, "{name}");
        }
        assert!(response.header("x-request-id").is_some());
    });
}

#[test]
fn a_head_request_and_a_304_keep_the_length_that_the_upstream_states() {
    run(async {
        let chain = Chain::new().await;
        let response = chain.ask("HEAD /bytes/1234 HTTP/1.1", "").await;
        assert_eq!((response.status(), response.header("content-length")), (200, Some("1234")));
        let mut wire = chain.a.wire().await;
        for _ in 0..2 {
            wire.send(format!("HEAD /bytes/1234 HTTP/1.1\r\n{}\r\n", chain.lines())).await;
            assert_eq!(wire.response(true).await.unwrap().status(), 200, "the connection is kept");
            wire.send(format!("GET /status/204 HTTP/1.1\r\n{}\r\n", chain.lines())).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 204);
        }
    });
}

#[test]
fn a_preflight_is_answered_by_this_relay() {
    run(async {
        let chain = Chain::with("", &format!("{LOOPBACK}\ncors_origins: ['https://app.example']"), "").await;
        let head = format!(
            "OPTIONS / HTTP/1.1\r\nhost: {APP}\r\norigin: https://app.example\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: x-mte-outbound-token, x-mte-upstream\r\n\r\n"
        );
        let response = chain.a.ask(&head).await;
        assert_eq!(response.status(), 204);
        let allowed = response.header("access-control-allow-headers").unwrap();
        assert_eq!(allowed, "x-mte-outbound-token, x-mte-upstream");
        let refused = chain.a.ask(&format!("GET / HTTP/1.1\r\nhost: {APP}\r\norigin: https://app.example\r\nx-mte-outbound-token: wrong\r\n\r\n")).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.example"));
    });
}

#[test]
fn a_redirect_is_passed_on_and_not_followed() {
    run(async {
        let upstream = Upstream::serve(|_| async {
            let redirect = Response::builder().status(307).header("location", "https://elsewhere.example/");
            Ok(redirect.body(reply(http_body_util::Empty::new()).into_body())?)
        })
        .await;
        let chain = Chain::to(upstream, "", LOOPBACK, "").await;
        let response = chain.ask("GET / HTTP/1.1", "").await;
        assert_eq!(
            (response.status(), response.header("location")),
            (307, Some("https://elsewhere.example/"))
        );
        assert_eq!(chain.upstream.begun(), 1);
    });
}
