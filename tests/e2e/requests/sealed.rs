//! What sealed headers bind, which may be missing, and which requests are refused before they use resources.

use mte_codec::{EncodeType, KemId};
use mte_protocol::text;

use super::V4;
use crate::harness::{HOST, Relay, Setup, Upstream, run};

async fn relay(upstream: &Upstream, top: &str, lines: &str) -> Relay {
    Setup::default().top(top).tenant(HOST, &upstream.url(), lines).start().await
}

#[test]
fn a_dropped_header_map_is_562_where_nothing_else_would_show_it() {
    run(async {
        let upstream = Upstream::standard().await;
        for (setting, counts, status) in [
            ("", false, 562),
            ("", true, 562),
            ("require_sealed_headers: true", false, 562),
            ("require_sealed_headers: false", false, 200),
        ] {
            let relay = relay(&upstream, "", setting).await;
            let mut session = V4::new(&relay).await;
            session.counts = counts;
            let map = r#"{":method":"GET",":authority":"tenant.test"}"#;
            let mut sealed = session.seal("GET", Some("/accounts/42"), Some(map), None);
            // In transit, the map is dropped and the method changed.
            (sealed.map, sealed.method, sealed.flags) = (None, "DELETE", "1,1,0,0".into());
            let answer = sealed.send(&relay).await;
            assert_eq!(answer.status(), status, "{setting:?}, counts: {counts}");
        }
    });
}

#[test]
fn a_request_without_sealed_headers_is_allowed_or_refused_by_the_tenants_policy() {
    run(async {
        let upstream = Upstream::standard().await;
        for (setting, counts, status) in
            [("", true, 200), ("", false, 562), ("require_sealed_headers: true", true, 562)]
        {
            let relay = relay(&upstream, "", setting).await;
            let mut session = V4::new(&relay).await;
            session.counts = counts;
            let answer = session.seal("GET", Some("/a"), None, None).send(&relay).await;
            assert_eq!(answer.status(), status, "{setting:?}, counts: {counts}");
            let with_headers = session.seal("GET", Some("/a"), Some("{}"), None).send(&relay).await;
            assert_eq!(with_headers.status(), 200, "{setting:?}, counts: {counts}");
        }
    });
}

#[test]
fn a_forged_number_is_562_even_the_last_one() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "", "").await;
        let mut session = V4::new(&relay).await;
        for number in [1 << 32, u64::MAX, (1 << 32) - 1, 1 << 20] {
            let mut sealed = session.seal("GET", None, Some("{}"), None);
            let mut message = text::decode(sealed.map.as_ref().unwrap().as_bytes()).unwrap();
            message[2..10].copy_from_slice(&number.to_be_bytes());
            sealed.map = Some(text::encode(&message));
            assert_eq!(sealed.send(&relay).await.status(), 562, "{number}");
        }
    });
}

#[test]
fn a_replay_is_refused_before_its_body_is_read() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "", "").await;
        let mut session = V4::new(&relay).await;
        session.encode_type = EncodeType::Mte;
        let sealed = session.seal("POST", Some("/a"), Some("{}"), Some(&[b'x'; 50_000]));
        assert_eq!(sealed.send(&relay).await.status(), 200);
        // The head is replayed, with the body's first bytes and nothing more: the relay does not wait for a timeout.
        let mut wire = relay.wire().await;
        wire.send(sealed.head()).await;
        wire.send(&sealed.body.as_ref().unwrap()[..100]).await;
        let answer = wire.response(false).await.unwrap();
        assert_eq!(answer.status(), 562);
        assert_eq!(upstream.begun(), 1);
    });
}

#[test]
fn sealed_headers_have_a_limit_on_their_names() {
    run(async {
        let upstream = Upstream::standard().await;
        let top = "limits: {max_header_bytes: 512KiB, header_names: 60}";
        let relay = relay(&upstream, top, "").await;
        let mut session = V4::new(&relay).await;
        let map = |names: usize| {
            let fields: Vec<_> = (0..names).map(|index| format!("\"x{index}\":\"\"")).collect();
            format!("{{{}}}", fields.join(","))
        };
        for (names, status) in [(60, 200), (61, 431), (26_000, 431)] {
            let answer = session.seal("GET", Some("/a"), Some(&map(names)), None).send(&relay).await;
            assert_eq!(answer.status(), status, "{names}");
        }
        // And so does the clear part.
        let many: String = (0..70).map(|index| format!("x-{index}: 1\r\n")).collect();
        let answer = session.seal("GET", Some("/a"), Some("{}"), None).clear(&many).send(&relay).await;
        assert_eq!(answer.status(), 431);
    });
}

#[test]
fn malformed_names_of_response_headers_are_562() {
    run(async {
        let upstream = Upstream::standard().await;
        let relay = relay(&upstream, "", "").await;
        let mut session = V4::new(&relay).await;
        for (value, status) in [("*", 200), ("etag,x-total", 200), ("", 562), ("ETag", 562), ("a b", 562)] {
            let map = format!("{{\":response-headers\":{value:?}}}");
            let answer = session.seal("GET", Some("/a"), Some(&map), None).send(&relay).await;
            assert_eq!(answer.status(), status, "{value:?}");
        }
    });
}

#[test]
fn the_minimum_kem_is_enforced_in_the_right_order() {
    use KemId::{MlKem512, MlKem768, MlKem1024, XWing};
    run(async {
        let upstream = Upstream::standard().await;
        for (least, accepted) in [
            ("ml-kem-512", &[MlKem512, MlKem768, MlKem1024, XWing][..]),
            ("ml-kem-768", &[MlKem768, MlKem1024, XWing]),
            ("ml-kem-1024", &[MlKem1024]),
            ("x-wing", &[XWing]),
        ] {
            let relay = relay(&upstream, "", &format!("min_kem: {least}")).await;
            let hello = relay.ask(&format!("HEAD /api/mte-relay HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
            let client_id = hello.header("x-mte-relay").unwrap();
            for kem in [MlKem512, MlKem768, MlKem1024, XWing] {
                // A live pair with this id is 409: the key was accepted.
                let status = V4::pair(&relay, client_id, kem).await.0.status();
                assert_eq!(status != 400, accepted.contains(&kem), "{least}: {kem} is {status}");
            }
        }
    });
}
