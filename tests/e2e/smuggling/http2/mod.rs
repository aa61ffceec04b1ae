//! Header lists and frames. Errors of one stream do not affect other streams; errors of a connection end that connection
//! only.

mod connection;
mod ends;
mod fields;
mod wire;

use self::wire::{
    Connection, DATA, END_HEADERS, END_STREAM, Field, GOAWAY, HEADERS, RST_STREAM, block, frame,
};
use super::{Bench, Expect, GOOD};
use crate::harness::HOST;

/// The fields of a valid request without a body.
const PLAIN: [Field<'static>; 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/open/a")];

/// The fields of a valid request with a body.
const POST: [Field<'static>; 4] =
    [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/open/a")];

/// The required state of the connection afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// It serves another request.
    Serves,
    /// It is closed.
    Closed,
}

/// One row of a table: the frames after preface and settings.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
    after: After,
}

/// The result.
#[derive(Debug, Default)]
struct Outcome {
    statuses: Vec<u16>,
    resets: Vec<u32>,
    closed: bool,
}

/// A request on stream 1 with these fields and without a body.
fn request(fields: &[Field<'_>]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// The valid request with one field changed, on stream 1.
fn with(name: &str, value: &str) -> Vec<u8> {
    request(&PLAIN.map(|field| if field.0 == name { (name, value) } else { field }))
}

/// The valid request with one more field, on stream 1.
fn and(name: &str, value: &str) -> Vec<u8> {
    request(&[&PLAIN[..], &[(name, value)]].concat())
}

async fn run(rows: Vec<Row>) {
    let bench = Bench::new().await;
    let mut failures = Vec::new();
    for Row { name, bytes, expect, after } in rows {
        if let Err(failure) = bench.trial(name, expect, exchange(&bench, &bytes, after)).await {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    bench.relay.settled().await;
}

/// Sends the frames on a separate connection, and determines its state afterwards.
async fn exchange(bench: &Bench, bytes: &[u8], after: After) -> Result<Vec<u16>, String> {
    let stream = tokio::net::TcpStream::connect(bench.relay.tls.unwrap()).await.unwrap();
    let stream = bench.authority.handshake(stream, HOST, false, true).await.unwrap();
    let mut connection = Connection::open(stream).await.unwrap();
    connection.send(bytes).await;
    let mut outcome = Outcome::default();
    if after == After::Closed {
        read(&mut connection, &mut outcome, |_| false).await;
    } else {
        read(&mut connection, &mut outcome, |outcome| outcome.statuses.len() + outcome.resets.len() > 0)
            .await;
        let answered = outcome.statuses.len();
        let fields = POST.map(|field| if field.0 == ":path" { (":path", GOOD) } else { field });
        connection.send(&frame(HEADERS, END_HEADERS, 3, &block(&fields))).await;
        connection.send(&frame(DATA, END_STREAM, 3, b"good")).await;
        read(&mut connection, &mut outcome, |outcome| outcome.statuses.len() > answered).await;
        if outcome.statuses.pop_if(|status| *status == 200).is_none() || outcome.statuses.len() != answered {
            return Err(format!("the connection does not serve the next request: {outcome:?}"));
        }
    }
    if (after == After::Closed) != outcome.closed {
        return Err(format!("the connection is left like this: {outcome:?}"));
    }
    Ok(outcome.statuses)
}

/// Reads until a condition is true, or the connection is closed.
async fn read(connection: &mut Connection, outcome: &mut Outcome, until: impl Fn(&Outcome) -> bool) {
    while !until(outcome) {
        match connection.next().await {
            Ok(frame) if frame.kind == HEADERS => outcome.statuses.extend(wire::status(&frame.payload)),
            Ok(frame) if frame.kind == RST_STREAM => {
                // Not one of the streams of valid requests.
                assert_ne!(frame.stream, 3);
                outcome.resets.push(frame.stream);
            }
            Ok(frame) if frame.kind == GOAWAY => outcome.closed = true,
            Ok(_) => {}
            Err(_) => {
                outcome.closed = true;
                return;
            }
        }
    }
}
