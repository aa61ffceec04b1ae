//! A network that loses, reorders, duplicates, truncates and changes messages: each request is served at most once, and
//! changed messages are refused and change no state.

use mte_codec::{EncodeType, OpenError, WindowError};
use mte_protocol::{
    names::{X_MTE_RELAY, X_MTE_RELAY_EH},
    text::path_to_message,
};
use mte_session::{
    client::{Error, ResponseError, ResponseOpener},
    server::RequestError,
};
use proptest::prelude::*;

use crate::harness::{Answer, Pair, WireRequest, WireResponse, respond};

/// A request that the client sent, and its progress.
struct Exchange {
    wire: WireRequest,
    opener: Option<ResponseOpener>,
    served: bool,
    response: Option<WireResponse>,
}

/// The next action of the network, on the exchange that a number selects.
#[derive(Debug, Clone, Copy)]
enum Event {
    Send,
    /// Delivers a request: again, if it was delivered before.
    DeliverRequest(usize),
    /// Delivers a request with its body truncated by this many bytes.
    CutRequest(usize, usize),
    DeliverResponse(usize),
    /// Requests that are never delivered are lost.
    LoseResponse(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Send),
        4 => any::<usize>().prop_map(Event::DeliverRequest),
        1 => (any::<usize>(), 1..40_usize).prop_map(|(at, by)| Event::CutRequest(at, by)),
        3 => any::<usize>().prop_map(Event::DeliverResponse),
        1 => any::<usize>().prop_map(Event::LoseResponse),
    ]
}

struct Network {
    pair: Pair,
    exchanges: Vec<Exchange>,
}

impl Network {
    fn run(&mut self, event: Event) {
        let count = self.exchanges.len();
        match event {
            Event::Send => {
                let body = count.to_be_bytes();
                let (wire, opener) = self.pair.post(&body);
                let opener = Some(opener);
                self.exchanges.push(Exchange { wire, opener, served: false, response: None });
            }
            _ if count == 0 => {}
            Event::DeliverRequest(at) => self.deliver(at % count),
            Event::CutRequest(at, by) => self.deliver_cut(at % count, by),
            Event::DeliverResponse(at) => self.answer(at % count),
            Event::LoseResponse(at) => self.exchanges[at % count].response = None,
        }
    }

    fn deliver(&mut self, at: usize) {
        let exchange = &mut self.exchanges[at];
        let before = self.pair.relay.stored();
        match self.pair.relay.serve(&exchange.wire) {
            Ok(served) => {
                assert!(!exchange.served, "a request was served twice");
                assert_eq!(served.body, at.to_be_bytes());
                exchange.served = true;
                exchange.response = Some(respond(served, &Answer::new(&at.to_le_bytes())));
            }
            Err(error) => {
                assert!(exchange.served, "a request was refused at its first delivery: {error}");
                assert_eq!(error, RequestError::Open(OpenError::Number(WindowError::Replayed)));
                assert_eq!(self.pair.relay.stored(), before);
            }
        }
    }

    fn deliver_cut(&mut self, at: usize, by: usize) {
        let mut wire = self.exchanges[at].wire.clone();
        wire.body.truncate(wire.body.len() - by);
        let before = self.pair.relay.stored();
        assert_eq!(self.pair.relay.serve(&wire).unwrap_err().status(), 562);
        assert_eq!(self.pair.relay.stored(), before);
    }

    fn answer(&mut self, at: usize) {
        let exchange = &mut self.exchanges[at];
        let (Some(response), Some(opener)) = (exchange.response.take(), exchange.opener.take()) else {
            return;
        };
        assert_eq!(*opener.open(response.http()).unwrap().into_body(), at.to_le_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn under_loss_reordering_and_duplication_each_request_is_served_once(
        events in prop::collection::vec(event(), 1..120),
        encode_type in prop_oneof![Just(EncodeType::Mke), Just(EncodeType::Mte)],
    ) {
        let mut network = Network { pair: Pair::new(), exchanges: Vec::new() };
        network.pair.options.encode_type = encode_type;
        events.into_iter().for_each(|event| network.run(event));
    }

    #[test]
    fn a_bit_that_flips_in_any_sealed_part_of_a_request_is_refused_and_changes_no_state(
        part in 0..3_usize, at in any::<usize>(), bit in 0..8_u32,
    ) {
        let mut pair = Pair::new();
        let (mut wire, _) = pair.post(b"plaintext of a body");
        match part {
            // The first byte is the slash.
            0 => {
                let sent = std::mem::take(&mut wire.path);
                wire.path = flipped(&sent.as_bytes()[1..], at, bit, "/");
                // `%2f` is another spelling of `%2F`, not another message.
                prop_assume!(path_to_message(&wire.path) != path_to_message(&sent));
            }
            1 => {
                let text = flipped(wire.headers[X_MTE_RELAY_EH].as_bytes(), at, bit, "");
                let Ok(value) = http::HeaderValue::from_bytes(text.as_bytes()) else { return Ok(()) };
                wire.headers.insert(X_MTE_RELAY_EH, value);
            }
            _ => {
                let at = at % wire.body.len();
                wire.body[at] ^= 1 << bit;
            }
        }
        let before = pair.relay.stored();
        let status = pair.relay.serve(&wire).unwrap_err().status();
        prop_assert!(status == 562 || part == 1 && status == 400, "{status}");
        prop_assert_eq!(pair.relay.stored(), before);
    }

    #[test]
    fn a_bit_that_flips_in_any_sealed_part_of_a_response_is_refused(
        body in any::<bool>(), at in any::<usize>(), bit in 0..8_u32,
        encode_type in prop_oneof![Just(EncodeType::Mke), Just(EncodeType::Mte)],
    ) {
        let mut pair = Pair::new();
        pair.options.encode_type = encode_type;
        let (wire, opener) = pair.post(b"");
        let mut response = respond(pair.relay.serve(&wire).unwrap(), &Answer::new(b"plaintext"));
        if body {
            let at = at % response.body.len();
            response.body[at] ^= 1 << bit;
        } else {
            let text = flipped(response.headers[X_MTE_RELAY_EH].as_bytes(), at, bit, "");
            let Ok(value) = http::HeaderValue::from_bytes(text.as_bytes()) else { return Ok(()) };
            response.headers.insert(X_MTE_RELAY_EH, value);
        }
        prop_assert!(matches!(opener.open(response.http()), Err(Error::Response(_))));
    }

    #[test]
    fn arbitrary_requests_are_refused_without_a_panic(
        relay in "[ -~]{0,60}", path in "/[ -~]{0,90}", eh in prop::option::of("[ -~]{0,90}"),
        body in prop::collection::vec(any::<u8>(), 0..90), named in any::<bool>(),
    ) {
        let mut pair = Pair::new();
        let (mut wire, _) = pair.post(b"");
        let relay = if named { format!("c,{},{relay}", pair.client.id()) } else { relay };
        wire.headers.insert(X_MTE_RELAY, relay.parse().unwrap());
        wire.headers.remove(X_MTE_RELAY_EH);
        if let Some(eh) = eh {
            wire.headers.insert(X_MTE_RELAY_EH, eh.parse().unwrap());
        }
        (wire.path, wire.body) = (path, body);
        prop_assert!([400, 560, 562, 569].contains(&pair.relay.serve(&wire).unwrap_err().status()));
    }
}

/// A text with one bit of one byte changed; a byte beyond ASCII becomes a `?`.
fn flipped(text: &[u8], at: usize, bit: u32, before: &str) -> String {
    let mut text = text.to_vec();
    let at = at % text.len();
    text[at] ^= 1 << bit;
    if !text[at].is_ascii() {
        text[at] = b'?';
    }
    before.to_owned() + std::str::from_utf8(&text).unwrap()
}

#[test]
fn a_request_is_refused_wherever_its_body_is_cut() {
    for encode_type in [EncodeType::Mke, EncodeType::Mte] {
        let mut pair = Pair::new();
        pair.options.encode_type = encode_type;
        let (wire, _) = pair.post(b"a body");
        let before = pair.relay.stored();
        for len in 0..wire.body.len() {
            let cut = WireRequest { body: wire.body[..len].to_vec(), ..wire.clone() };
            assert_eq!(pair.relay.serve(&cut).unwrap_err().status(), 562, "{len}");
        }
        assert_eq!(pair.relay.stored(), before);
        let longer = WireRequest { body: [&wire.body[..], b"x"].concat(), ..wire.clone() };
        assert_eq!(pair.relay.serve(&longer).unwrap_err(), RequestError::Open(OpenError::Trailing));
        assert_eq!(pair.relay.serve(&wire).unwrap().body, b"a body");
    }
}

#[test]
fn a_response_is_refused_wherever_its_body_is_cut() {
    let mut pair = Pair::new();
    for encode_type in [EncodeType::Mke, EncodeType::Mte] {
        pair.options.encode_type = encode_type;
        for len in 0..52 {
            let (wire, opener) = pair.post(b"");
            let mut response = respond(pair.relay.serve(&wire).unwrap(), &Answer::new(b"a body"));
            response.body.truncate(len);
            let expected = match len {
                0 => ResponseError::MissingBody,
                _ => ResponseError::Body(OpenError::Truncated),
            };
            assert_eq!(opener.open(response.http()).unwrap_err(), Error::Response(expected), "{len}");
        }
    }
}

#[test]
fn parts_of_two_requests_cannot_be_exchanged() {
    let mut pair = Pair::new();
    let ((one, _), (other, _)) = (pair.post(b"one"), pair.post(b"other"));
    let eh = other.headers[X_MTE_RELAY_EH].clone();
    let mut headers = one.headers.clone();
    headers.insert(X_MTE_RELAY_EH, eh);
    let mixed = [
        WireRequest { path: other.path.clone(), ..one.clone() },
        WireRequest { headers, ..one.clone() },
        WireRequest { body: other.body.clone(), ..one.clone() },
    ];
    for wire in mixed {
        let error = pair.relay.serve(&wire).unwrap_err();
        assert_eq!(error, RequestError::Open(OpenError::NotConsecutive));
    }
}
