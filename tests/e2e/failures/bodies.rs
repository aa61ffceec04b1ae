//! Request bodies that fail to verify, and bodies above a limit.

use bytes::Bytes;
use http::Request;
use mte_client::{Body, EncodeType, wire::BodyPlan};
use mte_codec::{FRAME_OVERHEAD, HEADER_LEN, MAX_FRAME, Sealer};

use super::Trial;
use crate::harness::{HOST, Message, Pattern, Session, Upstream, run};

/// Sends a sealed 1 MiB body, changed, with a length or in chunks; `stated` also seals its length.
async fn send_changed(
    trial: &Trial,
    change: impl Fn(&mut Vec<u8>),
    chunked: bool,
    stated: bool,
) -> Option<Message> {
    let session = Session::new(&trial.relay).await;
    let plan = if stated { BodyPlan::Known(1 << 20) } else { BodyPlan::Unknown };
    let head = session.seal_head(Request::put("/").body(()).unwrap(), plan);
    let mut sealer = Sealer::new(head.body.as_ref().unwrap(), &mut rand::rng()).unwrap();
    let mut body = Vec::from(sealer.seal(&Pattern::bytes(1 << 20), true).unwrap());
    change(&mut body);
    let framing = match chunked {
        true => "transfer-encoding: chunked\r\n".to_owned(),
        false => format!("content-length: {}\r\n", body.len()),
    };
    let mut wire = trial.relay.wire().await;
    wire.send(session.head("PUT", &head.path, &head.headers, &framing)).await;
    if chunked {
        for piece in body.chunks(50_000) {
            wire.chunk(piece).await;
        }
        wire.chunk(b"").await;
    } else {
        wire.send(&body).await;
    }
    wire.response(false).await.ok()
}

#[test]
fn a_body_whose_later_frame_does_not_verify_is_400_and_never_whole_upstream() {
    const FRAME: usize = MAX_FRAME + FRAME_OVERHEAD;
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
    let changes: [Change<'_>; 6] = [
        ("a bit of the last frame", &|body| *body.last_mut().unwrap() ^= 1),
        ("a bit of the third frame", &|body| body[HEADER_LEN + 2 * FRAME + 1_000] ^= 1),
        ("the head of the last frame", &|body| body[HEADER_LEN + 15 * FRAME] ^= 0x80),
        ("the last frame dropped", &|body| body.truncate(HEADER_LEN + 15 * FRAME)),
        ("two frames exchanged", &|body| {
            let (first, second) = body[HEADER_LEN + 4 * FRAME..].split_at_mut(FRAME);
            first.swap_with_slice(&mut second[..FRAME]);
        }),
        ("something behind the last frame", &|body| body.push(0)),
    ];
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        for (what, change) in changes {
            for (chunked, stated) in [(true, true), (true, false), (false, true), (false, false)] {
                let answer = send_changed(&trial, change, chunked, stated).await;
                let answer = answer.unwrap_or_else(|| panic!("{what}, {chunked} {stated}: no answer"));
                let status = (answer.status(), answer.json()["status"].as_u64());
                assert_eq!(status, (400, Some(400)), "{what}, {chunked} {stated}");
                assert!(trial.bad.seen().is_empty(), "{what}, {chunked} {stated}");
            }
        }
        trial.recovers().await;
        let answer = send_changed(&trial, |_| {}, true, false).await.unwrap();
        assert_eq!(answer.status(), 200, "unchanged, it is fine");
    });
}

#[test]
fn a_body_whose_first_frame_does_not_verify_never_reaches_the_upstream() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "").await;
        for (chunked, stated) in [(true, true), (true, false), (false, true)] {
            let answer = send_changed(&trial, |body| body[1_000] ^= 1, chunked, stated).await.unwrap();
            assert_eq!(answer.status(), 562, "{chunked} {stated}");
        }
        assert_eq!(trial.bad.accepted(), 0);
        trial.recovers().await;
    });
}

#[test]
fn a_body_above_max_body_is_413_and_never_whole_upstream() {
    run(async {
        let tenant = "pass_through_routes: [/open]";
        let trial = Trial::with(Upstream::standard().await, "limits: {max_body: 200KiB}", tenant).await;
        for len in [200 << 10, 1 << 20] {
            for body in [Body::wrap(Pattern::known(len)), Body::wrap(Pattern::unknown(len))] {
                // A client that is still sending may find the connection closed before it reads the response.
                let error = trial.relay.client().post("/", body).await.unwrap_err();
                assert_eq!(error.relay_status(), Some(413), "{len}: {}", error.report());
            }
        }
        for framing in ["content-length: 300000\r\n", "transfer-encoding: chunked\r\n"] {
            let mut wire = trial.relay.wire().await;
            wire.send(format!("POST /open HTTP/1.1\r\nhost: {HOST}\r\n{framing}\r\n")).await;
            match framing.starts_with("content") {
                true => wire.send(Pattern::bytes(300_000)).await,
                false => {
                    wire.chunk(&Pattern::bytes(300_000)).await;
                    wire.chunk(b"").await;
                }
            }
            assert_eq!(wire.response(false).await.unwrap().status(), 413, "{framing}");
        }
        assert!(trial.bad.seen().is_empty());
        trial.recovers().await;
        for body in [Body::wrap(Pattern::known(190 << 10)), Body::wrap(Pattern::unknown(190 << 10))] {
            assert_eq!(trial.relay.client().post("/", body).await.unwrap().status(), 200);
        }
    });
}

#[test]
fn an_mte_body_above_its_limit_is_413_however_it_is_framed() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "limits: {max_mte_body: 100KiB}").await;
        let mut session = Session::new(&trial.relay).await;
        session.options.encode_type = EncodeType::Mte;
        for (len, status) in [(100 << 10, 200), ((100 << 10) + 1, 413), (500 << 10, 413)] {
            for chunked in [false, true] {
                let sealed = session.seal(Request::post("/").body(Pattern::bytes(len)).unwrap());
                let framing = match chunked {
                    true => "transfer-encoding: chunked\r\n".to_owned(),
                    false => format!("content-length: {}\r\n", sealed.body.len()),
                };
                let mut wire = trial.relay.wire().await;
                wire.send(session.head("POST", &sealed.path, &sealed.headers, &framing)).await;
                if chunked {
                    wire.chunk(&sealed.body).await;
                    wire.chunk(b"").await;
                } else {
                    wire.send(&sealed.body).await;
                }
                assert_eq!(wire.response(false).await.unwrap().status(), status, "{len} {chunked}");
            }
        }
        assert_eq!(trial.bad.begun(), 2);
    });
}

#[test]
fn an_mte_response_above_its_limit_is_502_and_never_whole() {
    run(async {
        let trial = Trial::new(Upstream::standard().await, "limits: {max_mte_body: 100KiB}").await;
        let client = trial.relay.builder(HOST).encode_type(EncodeType::Mte).build().unwrap();
        for kind in ["bytes", "stream"] {
            let response = client.get(format!("/{kind}/{}", 100 << 10)).await.unwrap();
            assert_eq!(response.into_body().bytes(1 << 20).await.unwrap(), Pattern::bytes(100 << 10));
        }
        let error = client.get(format!("/bytes/{}", (100 << 10) + 1)).await.unwrap_err();
        assert_eq!(error.relay_status(), Some(502), "{}", error.report());
        // If the length is unknown, the head has been sent when the limit is reached, so the response is cut off.
        let opened: Result<Bytes, _> = match client.get(format!("/stream/{}", 500 << 10)).await {
            Ok(response) => response.into_body().bytes(1 << 20).await,
            Err(error) => Err(error),
        };
        opened.unwrap_err();
        drop(client);
        trial.recovers().await;
    });
}
