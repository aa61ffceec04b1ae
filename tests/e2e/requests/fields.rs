//! Header fields: which are sent to the upstream, and in which form.

use http::{HeaderMap, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::V4;
use crate::harness::{Authority, HOST, Relay, Seen, Setup, Upstream, run};

/// A relay in front of an upstream with this version, with a TLS listener for HTTP/2 clients.
struct Bridge {
    relay: Relay,
    upstream: Upstream,
    authority: Authority,
    _files: tempfile::TempDir,
}

impl Bridge {
    async fn new(http2_upstream: bool, lines: &str) -> Self {
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let upstream = Upstream::standard().await;
        let http2 = if http2_upstream { "always" } else { "never" };
        let lines = format!(
            "pass_through_routes: ['/open/*']\nallow_plain_requests: true\nupstream_tls: {{http2: {http2}}}\n{tls}\n{lines}"
        );
        let relay = Setup::default().tenant(HOST, &upstream.url(), &lines).start().await;
        Self { relay, upstream, authority, _files: files }
    }

    /// The request that the upstream receives for a request without a body over HTTP/2.
    async fn seen_of_http2(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let stream = tokio::net::TcpStream::connect(self.relay.tls.unwrap()).await.unwrap();
        let stream = self.authority.handshake(stream, HOST, false, true).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(format!("https://{HOST}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response =
            sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200, "{method} {path}");
        response.into_body().collect().await.unwrap();
        self.upstream.last()
    }

    /// The same over HTTP/1.1.
    async fn seen_of_http1(&self, method: &str, path: &str, lines: &str) -> Seen {
        let answer =
            self.relay.ask(&format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\n{lines}\r\n")).await;
        assert_eq!(answer.status(), 200, "{method} {path}");
        self.upstream.last()
    }
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(http::HeaderName::as_str).collect()
}

#[test]
fn a_cookie_split_by_http2_is_one_line_over_http1_on_every_route() {
    run(async {
        let bridge = Bridge::new(false, "").await;
        let session = V4::new(&bridge.relay).await;
        let relay_header = format!("{},the-pair,1,0,0,0", session.client_id);
        for (path, relay_header) in [("/open/a", ""), ("/plain", relay_header.as_str())] {
            let mut fields = vec![("cookie", "session=1"), ("cookie", "csrf=2"), ("cookie", "theme=3")];
            if !relay_header.is_empty() {
                fields.push(("x-mte-relay", relay_header));
            }
            let seen = bridge.seen_of_http2("GET", path, &fields).await;
            let cookies: Vec<_> = seen.headers.get_all("cookie").iter().collect();
            assert_eq!(cookies, ["session=1; csrf=2; theme=3"], "{path}");
        }
    });
}

#[test]
fn a_post_put_or_patch_without_a_body_says_so_between_all_versions() {
    run(async {
        for http2_upstream in [false, true] {
            let bridge = Bridge::new(http2_upstream, "").await;
            let mut session = V4::new(&bridge.relay).await;
            for method in ["POST", "PUT", "PATCH"] {
                let seen = bridge.seen_of_http2(method, "/open/a", &[]).await;
                assert_eq!(seen.header("content-length"), Some("0"), "{method} from HTTP/2");
                let seen = bridge.seen_of_http1(method, "/open/a", "").await;
                assert_eq!(seen.header("content-length"), Some("0"), "{method} from HTTP/1.1");
                let sealed = session.seal(method, Some("/sealed"), Some("{}"), None);
                assert_eq!(sealed.send(&bridge.relay).await.status(), 200);
                assert_eq!(bridge.upstream.last().header("content-length"), Some("0"), "{method} sealed");
            }
            for method in ["GET", "DELETE"] {
                let seen = bridge.seen_of_http2(method, "/open/a", &[]).await;
                assert_eq!((seen.header("content-length"), seen.body.len), (None, 0), "{method}");
            }
            let version = if http2_upstream { Version::HTTP_2 } else { Version::HTTP_11 };
            assert!(bridge.upstream.seen().iter().all(|seen| seen.version == version));
        }
    });
}

#[test]
fn connection_fields_are_dropped_on_pass_through_routes_between_all_versions() {
    run(async {
        for http2_upstream in [false, true] {
            let bridge = Bridge::new(http2_upstream, "").await;
            let lines = "connection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\ntrailer: x-sum\r\n\
                         proxy-authorization: Basic eA==\r\nproxy-connection: close\r\nte: trailers\r\nx-stays: 1\r\n";
            let seen = bridge.seen_of_http1("GET", "/open/a", lines).await;
            let fields = [("trailer", "x-sum"), ("proxy-authorization", "Basic eA=="), ("x-stays", "1")];
            let over_http2 = bridge.seen_of_http2("GET", "/open/a", &fields).await;
            for seen in [seen, over_http2] {
                for name in [
                    "connection",
                    "x-hop",
                    "keep-alive",
                    "trailer",
                    "proxy-authorization",
                    "proxy-connection",
                    "te",
                ] {
                    assert_eq!(seen.header(name), None, "{name}: {:?}", names(&seen.headers));
                }
                assert_eq!(seen.header("x-stays"), Some("1"));
            }
        }
    });
}

#[test]
fn an_http2_upstream_is_sent_the_te_trailers_of_an_http2_client() {
    run(async {
        for http2_upstream in [false, true] {
            let bridge = Bridge::new(http2_upstream, "").await;
            let seen = bridge.seen_of_http2("GET", "/open/a", &[("te", "trailers")]).await;
            assert_eq!(seen.header("te"), http2_upstream.then_some("trailers"));
        }
    });
}

#[test]
fn fields_that_override_the_request_or_claim_another_client_are_dropped_on_every_route() {
    const DROPPED: [&str; 16] = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
        "x-forwarded-prefix",
        "x-real-ip",
        "true-client-ip",
        "forwarded",
        "x-mte-pair-auth",
        "x-mte-outbound-token",
        "x_forwarded_for",
        "x_real_ip",
        "x_original_url",
        "x_tenant_key",
    ];
    run(async {
        let bridge = Bridge::new(false, "headers: {x-tenant-key: real}").await;
        let mut session = V4::new(&bridge.relay).await;
        let lines: String = DROPPED.iter().map(|name| format!("{name}: /admin\r\n")).collect();
        let json: Vec<_> = DROPPED.iter().map(|name| format!("{name:?}:\"/admin\"")).collect();
        let json = format!("{{{},\"x-stays\":\"1\"}}", json.join(","));
        let passed = bridge.seen_of_http1("GET", "/open/a", &lines).await;
        let clear = session.seal("GET", Some("/sealed"), None, None).clear(&lines);
        assert_eq!(clear.send(&bridge.relay).await.status(), 200);
        let clear = bridge.upstream.last();
        assert_eq!(
            session.seal("GET", Some("/sealed"), Some(&json), None).send(&bridge.relay).await.status(),
            200
        );
        let sealed = bridge.upstream.last();
        assert_eq!(sealed.header("x-stays"), Some("1"));
        for (what, seen) in [("passed", passed), ("clear", clear), ("sealed", sealed)] {
            for name in DROPPED {
                assert_eq!(seen.header(name), None, "{what}: {name}");
            }
            assert_eq!(seen.header("x-tenant-key"), Some("real"), "{what}");
        }
    });
}

#[test]
fn with_a_bound_request_only_headers_that_browsers_and_proxies_add_are_taken_from_the_clear() {
    run(async {
        let bridge = Bridge::new(false, "").await;
        let mut session = V4::new(&bridge.relay).await;
        let counts = [
            "cookie",
            "origin",
            "referer",
            "user-agent",
            "accept-language",
            "sec-fetch-mode",
            "priority",
            "traceparent",
        ];
        let dropped = [
            "authorization",
            "range",
            "if-none-match",
            "if-range",
            "prefer",
            "x-api-key",
            "accept",
            "content-type",
        ];
        let lines: String = counts.iter().chain(&dropped).map(|name| format!("{name}: 1\r\n")).collect();
        let bound = r#"{":method":"GET",":authority":"tenant.test","x-own":"1"}"#;
        assert_eq!(
            session
                .seal("GET", Some("/a"), Some(bound), None)
                .clear(&lines)
                .send(&bridge.relay)
                .await
                .status(),
            200
        );
        let seen = bridge.upstream.last();
        assert!(counts.iter().all(|name| seen.header(name) == Some("1")), "{:?}", names(&seen.headers));
        assert!(dropped.iter().all(|name| seen.header(name).is_none()), "{:?}", names(&seen.headers));
        assert_eq!(seen.header("x-own"), Some("1"));
    });
}

#[test]
fn a_clear_range_counts_only_without_sealed_headers_or_where_they_name_it() {
    run(async {
        let bridge = Bridge::new(false, "").await;
        let mut session = V4::new(&bridge.relay).await;
        let lines = "range: bytes=0-1\r\nif-range: x\r\nif-match: y\r\nauthorization: z\r\n";
        for (map, range) in [
            (None, Some("bytes=0-1")),
            (Some("{}"), None),
            (Some(r#"{"range":"bytes=5-"}"#), Some("bytes=5-")),
        ] {
            let sealed = session.seal("GET", Some("/a"), map, None).clear(lines);
            assert_eq!(sealed.send(&bridge.relay).await.status(), 200);
            let seen = bridge.upstream.last();
            assert_eq!(seen.header("range"), range, "{map:?}");
            assert_eq!(seen.header("if-match").is_some(), map.is_none(), "{map:?}");
            assert_eq!(seen.header("authorization"), Some("z"), "{map:?}");
        }
    });
}

#[test]
fn a_sealed_field_has_no_duplicate_in_the_clear_and_no_pseudo_name_is_forwarded() {
    run(async {
        let bridge = Bridge::new(false, "").await;
        let mut session = V4::new(&bridge.relay).await;
        let map = r#"{"x-user":"me",":response-headers":"*","expect":"100-continue","accept-encoding":"br","connection":"x-hop","x-hop":"1"}"#;
        let sealed = session.seal("GET", Some("/a"), Some(map), None).clear("x_user: you\r\nx-user: you\r\n");
        assert_eq!(sealed.send(&bridge.relay).await.status(), 200);
        let seen = bridge.upstream.last();
        assert_eq!(seen.headers.get_all("x-user").iter().collect::<Vec<_>>(), ["me"]);
        for name in ["x_user", "expect", "x-hop", "response-headers"] {
            assert_eq!(seen.header(name), None, "{name}");
        }
        assert_eq!(seen.header("accept-encoding"), Some("br"));
    });
}

#[test]
fn only_a_websocket_handshake_on_a_pass_through_route_asks_the_upstream_for_an_upgrade() {
    run(async {
        let bridge = Bridge::new(false, "").await;
        for (method, lines, upgrades) in [
            ("GET", "upgrade: websocket\r\nconnection: Upgrade\r\n", true),
            ("GET", "upgrade: websocket\r\n", false),
            ("GET", "upgrade: h2c\r\nconnection: upgrade\r\n", false),
            ("POST", "upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n", false),
        ] {
            let seen = bridge.seen_of_http1(method, "/open/a", lines).await;
            assert_eq!(seen.header("upgrade").is_some(), upgrades, "{method} {lines}");
        }
    });
}

#[test]
fn an_http10_client_is_served_and_its_health_check_needs_no_host() {
    run(async {
        let bridge = Bridge::new(false, "").await;
        for host in ["", "host: tenant.test\r\n", "host: elsewhere.test\r\n"] {
            let answer = bridge.relay.ask(&format!("GET /api/mte-echo HTTP/1.0\r\n{host}\r\n")).await;
            assert_eq!(answer.status(), 200, "{host:?}");
        }
        for path in ["/open/a", "/api/mte-relay", "/sealed"] {
            let answer = bridge.relay.ask(&format!("GET {path} HTTP/1.0\r\n\r\n")).await;
            assert_eq!(answer.status(), 400, "{path}");
        }
        let post = "POST /open/a HTTP/1.0\r\nhost: tenant.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello";
        assert_eq!(bridge.relay.ask(post).await.status(), 200);
        let seen = bridge.upstream.last();
        assert_eq!((seen.body.len, seen.header("expect"), seen.version), (5, None, Version::HTTP_11));
    });
}
