//! The end of a body, which HTTP/2 may send in a separate frame: it is forwarded to the upstream once, on every route.

use http::Request;
use mte_client::wire::BodyPlan;
use mte_codec::Sealer;

use super::{
    super::{Bench, Recorder},
    After, Connection, DATA, END_HEADERS, END_STREAM, Field, HEADERS, POST, Row, block, frame,
    run as run_rows,
};
use crate::{
    harness::{Authority, HOST, Session, Setup, run},
    smuggling::Expect::Seen,
};

/// The good request's head, and its body in these frames; the last one ends the stream.
fn posted(parts: &[&str]) -> Vec<u8> {
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&POST));
    bytes.extend(data(parts));
    bytes
}

fn data(parts: &[&str]) -> Vec<u8> {
    let last = parts.len() - 1;
    let frames = parts.iter().enumerate();
    frames
        .flat_map(|(index, part)| frame(DATA, if index == last { END_STREAM } else { 0 }, 1, part.as_bytes()))
        .collect()
}

#[test]
fn an_empty_last_frame_ends_a_body_once() {
    const HELLO: &[(&str, &str, &str)] = &[("POST", "/open/a", "hello")];
    const EMPTY: &[(&str, &str, &str)] = &[("POST", "/open/a", "")];
    let row = |name, parts: &[&str], expect| Row {
        name,
        bytes: posted(parts),
        expect: Seen(expect),
        after: After::Serves,
    };
    run(async {
        run_rows(vec![
            row("the end in the last frame", &["hello"], HELLO),
            row("the end in an empty frame", &["hello", ""], HELLO),
            row("empty frames before and after", &["", "hello", "", ""], HELLO),
            row("nothing but an empty frame", &[""], EMPTY),
            row("nothing but empty frames", &["", ""], EMPTY),
        ])
        .await;
    });
}

#[test]
fn an_empty_last_frame_ends_a_body_once_where_it_is_sealed_or_may_be_plain() {
    run(async {
        let recorder = Recorder::new().await;
        let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = authority.settings(files.path(), HOST, "");
        let relay = Setup::default()
            .tenant(HOST, &recorder.upstream.url(), &format!("allow_plain_requests: true\n{tls}"))
            .start()
            .await;
        let bench = Bench { relay, recorder, authority, _files: files };
        let session = Session::new(&bench.relay).await;
        let plain = format!("{},{},1,0,0,0,0", session.client_id, session.pair.id());
        let plain: Vec<(String, String)> =
            vec![(":path".into(), "/plain".into()), ("x-mte-relay".into(), plain)];
        // A body that is streamed, and one that was read completely before.
        for parts in [&["hello", ""][..], &["hello"], &[""]] {
            let body = parts.concat();
            post(&bench, &plain, &parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>())
                .await;
            expect(&bench, "/plain", body.as_bytes()).await;
        }
        for pieces in [&[""][..], &["hello"], &["hello, ", "world"], &["a", "b", "c"]] {
            // One frame per piece: a body of one frame is read completely before it is forwarded, others are streamed.
            let head = session.seal_head(Request::post("/sealed").body(()).unwrap(), BodyPlan::Unknown);
            let mut sealer = Sealer::new(head.body.as_ref().unwrap(), &mut rand::rng()).unwrap();
            let last = pieces.len() - 1;
            let sealed = pieces.iter().enumerate();
            let sealed =
                sealed.map(|(index, piece)| sealer.seal(piece.as_bytes(), index == last).unwrap().to_vec());
            let parts: Vec<Vec<u8>> = sealed.chain([Vec::new()]).collect();
            let mut fields = vec![(":path".to_owned(), head.path.to_string())];
            for (name, value) in &head.headers {
                fields.push((name.to_string(), value.to_str().unwrap().to_owned()));
            }
            post(&bench, &fields, &parts).await;
            expect(&bench, "/sealed", pieces.concat().as_bytes()).await;
        }
    });
}

/// Sends a POST with these fields and frames and reads its answer.
async fn post(bench: &Bench, fields: &[(String, String)], parts: &[Vec<u8>]) {
    let stream = tokio::net::TcpStream::connect(bench.relay.tls.unwrap()).await.unwrap();
    let stream = bench.authority.handshake(stream, HOST, false, true).await.unwrap();
    let mut connection = Connection::open(stream).await.unwrap();
    let mut all: Vec<Field<'_>> = POST[..3].to_vec();
    all.extend(fields.iter().map(|(name, value)| (&**name, &**value)));
    connection.send(&frame(HEADERS, END_HEADERS, 1, &block(&all))).await;
    for (index, part) in parts.iter().enumerate() {
        let flags = if index + 1 == parts.len() { END_STREAM } else { 0 };
        connection.send(&frame(DATA, flags, 1, part)).await;
    }
    loop {
        let frame = connection.next().await.unwrap();
        if frame.kind == HEADERS && frame.stream == 1 {
            assert_eq!(super::wire::status(&frame.payload), Some(200));
            return;
        }
    }
}

/// The upstream has received this request, and not a byte more.
async fn expect(bench: &Bench, target: &str, body: &[u8]) {
    let last = bench.recorder.requests().pop().unwrap();
    assert_eq!((&*last.target, last.body == body), (target, true));
    bench.check_rest(target, false).await.unwrap();
}
