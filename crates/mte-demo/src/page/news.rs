//! The traffic and what the upstream sees, for the page: server-sent events of JSON. Each is the whole current state
//! of one message, so that a page needs no earlier one; a long body's state is sent from time to time while it passes, and at
//! its end.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::HeaderMap;
use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::{broadcast, mpsc::UnboundedReceiver},
    time::MissedTickBehavior,
};

use crate::{
    pages::Digested,
    tap::{Direction, Passed, Piece},
    upstream::{Received, Seen},
    wire,
};

/// How often the state of a passing message is sent.
const BEAT: Duration = Duration::from_millis(40);
/// How much of a body at the upstream is shown.
const SHOWN: usize = 2 << 10;
/// Messages that never end are forgotten once there are more.
const MAX_MESSAGES: usize = 256;

/// A message at the tap.
#[derive(Debug, Default, Serialize)]
struct Message {
    kind: &'static str,
    message: u64,
    /// The request that it answers; a request answers none.
    answers: Option<u64>,
    start: String,
    headers: Vec<(String, String)>,
    /// Bytes of its head,
    head: usize,
    /// and of its body,
    length: u64,
    /// of which the first are these.
    hex: String,
    /// Milliseconds since 1970 when it began,
    first: f64,
    /// and when the last of it passed that did.
    last: f64,
    whole: bool,
    /// What the tap did to it,
    tampered: Option<&'static str>,
    /// and to which byte of its body.
    changed: Option<usize>,
    /// What the relay answered when it was sent again.
    replayed: Option<Replayed>,
    #[serde(skip)]
    told: bool,
}

#[derive(Debug, Serialize)]
struct Replayed {
    status: u16,
    text: String,
}

/// Sends news until there are none to come.
pub(super) async fn gather(
    mut wire: UnboundedReceiver<Passed>,
    mut upstream: UnboundedReceiver<Seen>,
    news: broadcast::Sender<Bytes>,
) {
    let mut messages = BTreeMap::new();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            passed = wire.recv() => match passed {
                Some(passed) => pass(&mut messages, passed, &news),
                None => return,
            },
            Some(seen) = upstream.recv() => publish(&news, &at_the_upstream(&seen)),
            _ = beat.tick() => {
                for message in messages.values_mut().filter(|message| !message.told) {
                    publish(&news, message);
                    message.told = true;
                }
            }
        }
    }
}

fn pass(messages: &mut BTreeMap<u64, Message>, passed: Passed, news: &broadcast::Sender<Bytes>) {
    let at = millis(passed.at);
    let message = messages.entry(passed.message).or_default();
    message.told = false;
    message.last = at;
    let mut over = false;
    match passed.what {
        Piece::Head { head, answers } => {
            message.kind = if passed.direction == Direction::ToRelay { "request" } else { "response" };
            message.message = passed.message;
            message.answers = answers;
            message.first = at;
            message.head = head.len();
            if let Some(read) = wire::message(&head) {
                message.start = read.start.to_owned();
                let pair = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
                message.headers = read.headers.iter().map(pair).collect();
            }
        }
        Piece::Body { len, start } => {
            message.length += len as u64;
            message.hex.extend(start.iter().map(|byte| format!("{byte:02x}")));
        }
        Piece::End => {
            message.whole = true;
            over = message.tampered != Some("replay");
        }
        Piece::Tampered { order, at } => {
            message.tampered = Some(order.name());
            message.changed = at;
        }
        Piece::Replayed { status, body } => {
            message.replayed = Some(Replayed { status, text: String::from_utf8_lossy(&body).into_owned() });
            over = true;
        }
    }
    if over {
        publish(news, message);
        message.told = true;
    }
    while messages.len() > MAX_MESSAGES {
        messages.pop_first();
    }
}

fn at_the_upstream(seen: &Seen) -> serde_json::Value {
    let at = millis(SystemTime::now());
    match seen {
        Seen::Receiving(received) => received_so_far(received, false, at),
        Seen::Received(received) => received_so_far(received, true, at),
        Seen::Answering { number, status, kind } => {
            json!({"kind": "answering", "number": number, "status": status.as_u16(), "type": kind, "at": at})
        }
        Seen::Sent { number, text } => json!({"kind": "sent", "number": number, "text": text, "at": at}),
        Seen::Answered { number, body } => {
            json!({"kind": "answered", "number": number, "body": shown(body), "at": at})
        }
    }
}

fn received_so_far(received: &Received, whole: bool, at: f64) -> serde_json::Value {
    json!({
        "kind": "received",
        "number": received.number,
        "method": received.method.as_str(),
        "target": received.target,
        "headers": headers(&received.headers),
        "body": shown(&received.body),
        "whole": whole,
        "at": at,
    })
}

fn headers(headers: &HeaderMap) -> Vec<(&str, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.as_str(), text(value.as_bytes()))).collect()
}

fn shown(body: &Digested) -> serde_json::Value {
    let start = &body.start[..body.start.len().min(SHOWN)];
    json!({"length": body.len, "sha256": body.sha256, "text": String::from_utf8_lossy(start)})
}

fn millis(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1e3)
}

fn publish(news: &broadcast::Sender<Bytes>, what: &impl Serialize) {
    if let Ok(json) = serde_json::to_string(what) {
        // No browser has the page open, which is fine.
        let _ = news.send(format!("data: {json}\n\n").into());
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::tamper::Order;

    #[tokio::test]
    async fn a_message_is_reported_in_its_final_state() {
        let (wire, on_the_wire) = mpsc::unbounded_channel();
        let (_upstream, at_the_upstream) = mpsc::unbounded_channel();
        let (news, mut told) = broadcast::channel(16);
        tokio::spawn(gather(on_the_wire, at_the_upstream, news));
        let send = |what| {
            let direction = Direction::ToRelay;
            wire.send(Passed { message: 7, direction, at: SystemTime::now(), what }).unwrap();
        };
        send(Piece::Head { head: b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), answers: None });
        send(Piece::Body { len: 5000, start: vec![1, 0xab] });
        send(Piece::Tampered { order: Order::CorruptRequest, at: Some(30) });
        send(Piece::End);
        loop {
            let event = told.recv().await.unwrap();
            let json = std::str::from_utf8(&event).unwrap().strip_prefix("data: ").unwrap().trim_end();
            let message: serde_json::Value = serde_json::from_str(json).unwrap();
            if message["whole"] == true {
                assert_eq!(message["start"], "POST /x HTTP/1.1");
                assert_eq!(message["headers"], json!([["host", "a"]]));
                assert_eq!((&message["length"], &message["hex"]), (&json!(5000), &json!("01ab")));
                assert_eq!(
                    (&message["tampered"], &message["changed"]),
                    (&json!("spoil-request"), &json!(30))
                );
                return;
            }
        }
    }
}
