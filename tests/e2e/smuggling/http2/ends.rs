//! The end of a body, which HTTP/2 may say in a frame of its own: the upstream hears of it once, on every route.

use bytes::Bytes;
use http::Request;

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
        // A body that is left to the proxy's end, and one that was read whole before.
        for parts in [&["hello", ""][..], &["hello"], &[""]] {
            let body = parts.concat();
            post(&bench, &plain, &parts.iter().map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>())
                .await;
            expect(&bench, "/plain", body.as_bytes()).await;
        }
        for length in [0, 5, 200_000] {
            let body = Bytes::from(vec![b'x'; length]);
            let sealed = session.seal(Request::post("/sealed").body(body.clone()).unwrap());
            let mut fields = vec![(":path".to_owned(), sealed.path.to_string())];
            for (name, value) in &sealed.headers {
                fields.push((name.to_string(), value.to_str().unwrap().to_owned()));
            }
            let mut parts: Vec<Vec<u8>> = sealed.body.chunks(16 << 10).map(<[u8]>::to_vec).collect();
            parts.push(Vec::new());
            post(&bench, &fields, &parts).await;
            expect(&bench, "/sealed", &body).await;
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
    // More than the window of a stream is not sent: none of these bodies fills the relay's.
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

/// The upstream has got this request, and not a byte more.
async fn expect(bench: &Bench, target: &str, body: &[u8]) {
    let last = bench.recorder.requests().pop().unwrap();
    assert_eq!((&*last.target, last.body == body), (target, true));
    bench.check_rest(target, false).await.unwrap();
}
