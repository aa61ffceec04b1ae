//! Where requests are sent, and which ones the relay answers itself.

mod cors;
mod forwarded;

use http::Request;
use mte_client::{Body, EncodeHeaders};

use crate::harness::{HOST, Relay, Session, Setup, Upstream, Wire, eventually, run};

#[test]
fn a_host_finds_its_exact_tenant_then_the_wildcard_then_the_default() {
    run(async {
        let (exact, wildcard, default) =
            (Upstream::standard().await, Upstream::standard().await, Upstream::standard().await);
        let relay = Setup::default()
            .tenant("api.example.test", &exact.url(), "")
            .tenant("*.example.test", &wildcard.url(), "")
            .tenant("*", &default.url(), "")
            .start()
            .await;
        for (host, upstream) in [
            ("api.example.test", &exact),
            ("API.Example.TEST", &exact),
            ("api.example.test:8080", &exact),
            ("www.example.test", &wildcard),
            ("www.example.test:8080", &wildcard),
            ("a.b.example.test", &default),
            ("example.test", &default),
            ("elsewhere.test", &default),
        ] {
            let before = upstream.begun();
            relay.builder(host).build().unwrap().get("/").await.unwrap();
            assert_eq!(upstream.begun(), before + 1, "{host}");
        }
    });
}

#[test]
fn a_host_of_no_tenant_is_421_on_every_route_but_the_health_check() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        for path in ["/", "/api/mte-relay", "/health"] {
            let answer = relay.ask(&format!("GET {path} HTTP/1.1\r\nhost: other.test\r\n\r\n")).await;
            assert_eq!((answer.status(), answer.json()["status"].as_u64()), (421, Some(421)), "{path}");
            assert_eq!(answer.header("x-mte-relay"), None);
        }
        for host in ["other.test", HOST, "127.0.0.1"] {
            let answer = relay.ask(&format!("GET /api/mte-echo HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
            assert_eq!(answer.status(), 200, "{host}");
        }
    });
}

#[test]
fn a_request_without_a_host_or_with_two_is_400() {
    run(async {
        let relay = Relay::of(&Upstream::standard().await).await;
        for hosts in ["", "host: tenant.test\r\nhost: tenant.test\r\n"] {
            let answer = relay.ask(&format!("GET /api/mte-relay HTTP/1.1\r\n{hosts}\r\n")).await;
            assert_eq!(answer.status(), 400, "{hosts:?}");
        }
    });
}

#[test]
fn an_invalid_host_is_400_and_matches_no_wildcard() {
    run(async {
        let upstream = Upstream::standard().await;
        let setup =
            Setup::default().tenant("*.example.test", &upstream.url(), "pass_through_routes: [/open]");
        let relay = setup.start().await;
        for (host, status) in [
            ("a.example.test", 200),
            ("a.example.test:8080", 200),
            ("A.EXAMPLE.test", 200),
            ("a.b.example.test", 421),
            ("3221226219/x.example.test", 400),
            ("[2001:db8::1]/x.example.test", 400),
            ("a.example.test:80x", 400),
            ("a b.example.test", 400),
            ("a?.example.test", 400),
        ] {
            let answer = relay.ask(&format!("GET /open HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
            assert_eq!(answer.status(), status, "{host}");
        }
        assert_eq!(upstream.seen().len(), 3);
    });
}

#[test]
fn the_echo_route_says_the_text_and_the_time() {
    run(async {
        let relay = Relay::of(&Upstream::standard().await).await;
        let milliseconds = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::try_from(now.as_millis()).unwrap()
        };
        for (path, echo) in [
            ("/api/mte-echo", serde_json::json!(true)),
            ("/api/mte-echo/", serde_json::json!(true)),
            ("/api/mte-echo/hello", serde_json::json!("hello")),
            ("/api/mte-echo/%22hi%20there%22?x=1", serde_json::json!("\"hi there\"")),
        ] {
            let before = milliseconds();
            let answer = relay.ask(&format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let json = answer.json();
            assert_eq!(json["echo"], echo, "{path}");
            let time = json["time"].as_u64().unwrap();
            assert!(before <= time && time <= milliseconds(), "{time}");
        }
        let head = relay.ask(&format!("HEAD /api/mte-echo HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(head.status(), 200);
    });
}

#[test]
fn the_error_route_lists_the_relays_own_statuses() {
    run(async {
        let relay = Relay::of(&Upstream::standard().await).await;
        let answer = relay.ask(&format!("GET /api/mte-errors HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        let json = answer.json();
        let mut codes: Vec<_> =
            json.as_object().unwrap().values().map(|code| code.as_u64().unwrap()).collect();
        codes.sort_unstable();
        assert_eq!(codes, [559, 560, 561, 562, 563, 564, 566, 567, 568, 569]);
        assert_eq!(json["decode failed"], 562);
    });
}

#[test]
fn a_method_that_a_control_route_does_not_have_is_405_with_those_it_has() {
    run(async {
        let relay = Relay::of(&Upstream::standard().await).await;
        for (method, path, allowed) in [
            ("POST", "/api/mte-relay", "HEAD, GET"),
            ("DELETE", "/api/mte-relay", "HEAD, GET"),
            ("GET", "/api/mte-pair", "POST"),
            ("PUT", "/api/mte-pair", "POST"),
            ("POST", "/api/mte-echo", "GET"),
            ("POST", "/api/mte-echo/text", "GET"),
            ("PATCH", "/api/mte-errors", "GET"),
        ] {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 0\r\n\r\n");
            let answer = relay.ask(&request).await;
            assert_eq!((answer.status(), answer.header("allow")), (405, Some(allowed)), "{method} {path}");
            assert_eq!(answer.json()["status"], 405);
        }
    });
}

#[test]
fn a_connection_serves_one_answer_after_the_other() {
    run(async {
        let upstream = Upstream::standard().await;
        let setup = Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: [/open]");
        let relay = setup.start().await;
        let session = Session::new(&relay).await;
        let mut wire = relay.wire().await;
        for round in 0..3 {
            for path in ["/api/mte-echo", "/api/mte-errors", "/api/mte-relay", "/open"] {
                wire.send(format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
                assert_eq!(wire.response(false).await.unwrap().status(), 200, "{path} {round}");
            }
            // An error does not end it either.
            wire.send(format!("GET /closed HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(wire.response(false).await.unwrap().status(), 569);
            let sealed = session.seal(Request::post("/").body("hello".into()).unwrap());
            wire.send(session.bytes(&sealed)).await;
            let response = wire.response(false).await.unwrap();
            let opened = sealed.opener.open(response.into_response()).unwrap();
            assert_eq!(opened.body(), "POST / 5");
        }
    });
}

#[test]
fn a_pass_through_route_is_raw_in_both_directions() {
    run(async {
        let answer = "HTTP/1.1 203 As It Is\r\nX-Case: kept\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
                      content-type: text/x-own\r\ncontent-length: 3\r\n\r\nraw";
        let (requests, mut arrived) = tokio::sync::mpsc::unbounded_channel();
        let upstream = Upstream::raw(move |mut wire, _| {
            let requests = requests.clone();
            async move {
                while let Ok(request) = wire.request().await {
                    requests.send(request).unwrap();
                    wire.send(answer).await;
                }
            }
        })
        .await;
        let relay = Setup::default()
            .tenant(HOST, &upstream.url(), "pass_through_routes: [/health, '/public/*', '~^/v[0-9]+/open/']")
            .start()
            .await;
        for target in ["/health", "/health?a=1", "/public/", "/public/a%20b/c?d=%2F", "/v12/open/x"] {
            let response = relay
                .ask(&format!(
                    "PATCH {target} HTTP/1.1\r\nhost: {HOST}\r\nx-own: 1\r\ncontent-length: 4\r\n\
                     content-type: text/plain\r\nx-mte-relay: a\r\nx-mte-outbound-token: b\r\n\r\nbody"
                ))
                .await;
            assert_eq!((response.status(), response.text()), (203, "raw"));
            assert_eq!(response.header("content-type"), Some("text/x-own"));
            assert!(response.all("set-cookie").eq(["a=1", "b=2"]));
            assert_eq!((response.header("x-mte-relay"), response.header("x-mte-relay-eh")), (None, None));
            let request = arrived.recv().await.unwrap();
            assert_eq!(request.start, format!("PATCH {target} HTTP/1.1"));
            assert_eq!((request.header("x-own"), request.text()), (Some("1"), "body"));
            assert_eq!(request.header("content-type"), Some("text/plain"));
            assert_eq!((request.header("x-mte-relay"), request.header("x-mte-outbound-token")), (None, None));
            assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
            assert_eq!(request.header("x-forwarded-host"), Some(HOST));
            assert_eq!(request.header("x-request-id"), response.header("x-request-id"));
        }
        for (target, status) in [
            ("/healthy", 569),
            ("/public", 569),
            ("/v/open/", 569),
            ("/public/../secret", 400),
            ("/public/%2e%2e/secret", 400),
        ] {
            let response = relay.ask(&format!("GET {target} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            assert_eq!(response.status(), status, "{target}");
        }
    });
}

#[test]
fn a_websocket_goes_through_a_pass_through_route() {
    run(async {
        let upstream = Upstream::raw(|mut wire: Wire, _| async move {
            let request = wire.head().await.unwrap();
            assert_eq!(request.header("upgrade"), Some("websocket"));
            assert!(request.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
            assert_eq!(request.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
            wire.send(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello from the upstream",
            )
            .await;
            while let Some(mut bytes) = wire.some().await {
                bytes.make_ascii_uppercase();
                wire.send(&bytes).await;
            }
        })
        .await;
        let setup = Setup::default().tenant(HOST, &upstream.url(), "pass_through_routes: [/socket]");
        let relay = setup.start().await;
        let mut wire = relay.wire().await;
        wire.send(format!(
            "GET /socket HTTP/1.1\r\nhost: {HOST}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        ))
        .await;
        let response = wire.head().await.unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(wire.exactly(23).await.unwrap(), b"hello from the upstream");
        for round in 0..10 {
            wire.send(format!("message {round}")).await;
            assert_eq!(wire.exactly(9).await.unwrap(), format!("MESSAGE {round}").into_bytes());
        }
        let large = vec![b'x'; 300 << 10];
        let (mut reading, mut writing) = wire.stream.split();
        let (mut back, written) =
            (vec![0; large.len()], tokio::io::AsyncWriteExt::write_all(&mut writing, &large));
        let read = tokio::io::AsyncReadExt::read_exact(&mut reading, &mut back);
        tokio::try_join!(written, async { read.await.map(drop) }).unwrap();
        assert!(back.iter().all(|byte| *byte == b'X'));
        drop(wire);
        relay.deserted().await;
        eventually("the upstream's connection is closed", || upstream.open() == 0).await;
    });
}

#[test]
fn an_encrypted_request_cannot_be_upgraded() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Relay::of(&upstream).await;
        let session = Session::new(&relay).await;
        let sealed = session.seal(Request::get("/").body(Default::default()).unwrap());
        let mut wire = relay.wire().await;
        let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n";
        wire.send(session.head("GET", &sealed.path, &sealed.headers, upgrade)).await;
        let response = wire.response(false).await.unwrap();
        let opened = sealed.opener.open(response.into_response()).unwrap();
        assert_eq!(opened.status(), 200);
        assert_eq!(upstream.last().header("upgrade"), None);
    });
}

#[test]
fn with_mte_routes_every_other_encrypted_path_is_404() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Setup::default()
            .tenant(HOST, &upstream.url(), "mte_routes: [/one, '/many/*']\npass_through_routes: [/open]")
            .start()
            .await;
        let client = relay.client();
        for path in ["/one", "/one?query=/other", "/many/a/b"] {
            assert_eq!(client.get(path).await.unwrap().status(), 200, "{path}");
        }
        let before = upstream.begun();
        for path in ["/", "/other", "/one/more", "/many", "/other?/one", "/One"] {
            let error = client.get(path).await.unwrap_err();
            assert_eq!(error.relay_status(), Some(404), "{path}");
        }
        assert_eq!(upstream.begun(), before);
        let open = relay.ask(&format!("GET /open HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(open.status(), 200);
    });
}

#[test]
fn requests_in_the_clear_need_the_tenants_permission() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = Setup::default()
            .tenant("plain.test", &upstream.url(), "allow_plain_requests: true")
            .tenant(HOST, &upstream.url(), "")
            .start()
            .await;
        for (host, status) in [("plain.test", 200), (HOST, 569)] {
            let session = Session::with(&relay, host).await;
            let relay_header = format!("{},{},1,0,0,0,0", session.client_id, session.pair.id());
            let answer = relay
                .ask(&format!(
                    "POST /plain?a=1 HTTP/1.1\r\nhost: {host}\r\nx-mte-relay: {relay_header}\r\n\
                     content-length: 5\r\n\r\nhello"
                ))
                .await;
            assert_eq!(answer.status(), status, "{host}");
        }
        let seen = upstream.last();
        assert_eq!((&*seen.target, seen.body.len), ("/plain?a=1", 5));
        assert_eq!(upstream.begun(), 1);
    });
}

#[test]
fn a_tenant_that_requires_binding_serves_clients_that_bind() {
    run(async {
        let upstream = Upstream::standard().await;
        let setup = Setup::default().tenant(HOST, &upstream.url(), "require_binding: true");
        let relay = setup.start().await;
        for which in [EncodeHeaders::All, EncodeHeaders::None] {
            let client = relay.builder(HOST).encode_headers(which).build().unwrap();
            let request = Request::put("/").body(Body::from("x")).unwrap();
            assert_eq!(client.send(request).await.unwrap().status(), 200);
        }
        assert_eq!(upstream.begun(), 2);
    });
}
