//! What an attacker on the path can do to a message: withhold it, send it twice, flip a bit, cut it.

use mte_protocol::names::X_MTE_RELAY_EH;

use crate::{
    tap::Direction,
    wire::{self, Message},
};

/// A longer request is not kept to be sent again.
const MAX_REPLAYED: usize = 1 << 20;

/// What the tap does beyond listening; once, to the next sealed request or the answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Keep the request, and cut the connection.
    Withhold,
    /// Flip one bit of the request.
    CorruptRequest,
    /// Let the request pass, and send the same bytes again on a connection of the tap's own.
    Replay,
    /// Flip one bit of the response.
    CorruptResponse,
    /// Give the response another status.
    ForgeStatus,
    /// End the response in the middle of its body, as if it were whole.
    CutResponse,
}

impl Order {
    /// Every order by its name, as the page gives it.
    pub(crate) const NAMED: [(&str, Self); 6] = [
        ("withhold", Self::Withhold),
        ("spoil-request", Self::CorruptRequest),
        ("replay", Self::Replay),
        ("spoil-response", Self::CorruptResponse),
        ("forge-status", Self::ForgeStatus),
        ("cut-response", Self::CutResponse),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, order)| *order == self).map_or("", |(name, _)| name)
    }

    pub(crate) fn direction(self) -> Direction {
        match self {
            Self::Withhold | Self::CorruptRequest | Self::Replay => Direction::ToRelay,
            Self::CorruptResponse | Self::ForgeStatus | Self::CutResponse => Direction::ToClient,
        }
    }
}

/// The result of applying an order to bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// More must come before the order can be carried out.
    Wait,
    /// The order does not apply to them: they are forwarded unchanged.
    Pass,
    /// They are forwarded, changed. The number is the first byte of the body that differs, if one does.
    ForwardChanged(Option<usize>),
    /// They are forwarded, and then this copy of them.
    ForwardTwice(Vec<u8>),
    /// They are forwarded, and nothing after them.
    ForwardLast,
    /// They are withheld, and the connection ends.
    Withhold,
}

/// Whether a message is a request that carries sealed parts. Preflights and pairings do not.
pub(crate) fn is_sealed(request: &Message<'_>) -> bool {
    request.header(X_MTE_RELAY_EH).is_some()
}

/// Carries out `order` on the message that `held` begins with. `sealed`: whether it answers a sealed request.
pub(crate) fn carry_out(order: Order, held: &mut Vec<u8>, sealed: bool) -> Action {
    let Some(message) = wire::message(held) else { return Action::Wait };
    let meant = match order.direction() {
        Direction::ToRelay => is_sealed(&message),
        // An answer in the clear is an error, which is not secret.
        Direction::ToClient => sealed && is_sealed(&message),
    };
    if !meant {
        return Action::Pass;
    }
    let (whole, body) = (message.whole, message.body.len());
    match order {
        Order::Withhold if whole => Action::Withhold,
        Order::Withhold => Action::Wait,
        Order::Replay if whole => Action::ForwardTwice(held.clone()),
        Order::Replay if held.len() > MAX_REPLAYED => Action::Pass,
        Order::Replay => Action::Wait,
        Order::ForgeStatus => {
            let status: &[u8] = if message.status() == 200 { b"201" } else { b"200" };
            let at = "HTTP/1.1 ".len();
            held[at..at + status.len()].copy_from_slice(status);
            Action::ForwardChanged(None)
        }
        Order::CorruptRequest | Order::CorruptResponse if body > CORRUPTED_BYTE || whole => corrupt(held),
        Order::CorruptRequest | Order::CorruptResponse => Action::Wait,
        Order::CutResponse if body > 0 => {
            *held = cut(&message, held);
            Action::ForwardLast
        }
        Order::CutResponse if whole => Action::Pass,
        Order::CutResponse => Action::Wait,
    }
}

/// The byte of a body that is changed: the first of its ciphertext.
const CORRUPTED_BYTE: usize = mte_codec::HEADER_LEN + mte_codec::HEAD_LEN;

/// Flips a bit of a message's body, or of its sealed headers if it has none.
fn corrupt(held: &mut [u8]) -> Action {
    if corrupt_body(held) { Action::ForwardChanged(Some(CORRUPTED_BYTE)) } else { corrupt_headers(held) }
}

/// Flips a bit of the ciphertext in a message's body; false if there is none.
pub(crate) fn corrupt_body(message: &mut [u8]) -> bool {
    let Some(head) = memchr::memmem::find(message, b"\r\n\r\n").map(|end| end + 4) else { return false };
    let chunked = wire::message(message).is_some_and(|message| message.header("transfer-encoding").is_some());
    let start =
        if chunked { wire::chunk(&message[head..]).map_or(head, |(start, _)| head + start) } else { head };
    let Some(byte) = message.get_mut(start + CORRUPTED_BYTE) else { return false };
    *byte ^= 1;
    true
}

/// Changes a character in the base64 of the sealed headers, so that it stays base64.
fn corrupt_headers(held: &mut [u8]) -> Action {
    // The character that has the first bits of the ciphertext.
    let at = CORRUPTED_BYTE / 3 * 4;
    let offset = wire::message(held)
        .and_then(|message| message.header(X_MTE_RELAY_EH))
        .and_then(|value| memchr::memmem::find(held, value.as_bytes()));
    if let Some(character) = offset.and_then(|offset| held.get_mut(offset + at)) {
        *character = if *character == b'A' { b'B' } else { b'A' };
    }
    Action::ForwardChanged(None)
}

/// The head and half of the body that is there, ended as HTTP ends it.
fn cut(message: &Message<'_>, bytes: &[u8]) -> Vec<u8> {
    let half = &message.body[..message.body.len() / 2];
    let mut cut = bytes[..bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1)].to_vec();
    for (name, value) in &message.headers {
        if !["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
            cut.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    cut.extend_from_slice(format!("content-length: {}\r\n\r\n", half.len()).as_bytes());
    cut.extend_from_slice(half);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST / HTTP/1.1\r\nx-mte-relay-eh: {}\r\ncontent-length: {}\r\n\r\n",
            "Q".repeat(80),
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    fn differing(one: &[u8], other: &[u8]) -> Vec<usize> {
        assert_eq!(one.len(), other.len());
        (0..one.len()).filter(|at| one[*at] != other[*at]).collect()
    }

    #[test]
    fn a_message_is_corrupted_in_one_place() {
        let genuine = request(&[0x5a; 60]);
        let mut corrupted = genuine.clone();
        assert_eq!(carry_out(Order::CorruptRequest, &mut corrupted, false), Action::ForwardChanged(Some(30)));
        assert_eq!(differing(&genuine, &corrupted), [genuine.len() - 30]);
        let genuine = request(b"");
        let mut corrupted = genuine.clone();
        assert_eq!(carry_out(Order::CorruptRequest, &mut corrupted, false), Action::ForwardChanged(None));
        assert_eq!(differing(&genuine, &corrupted).len(), 1);
    }

    #[test]
    fn bytes_that_are_not_sealed_pass_and_incomplete_messages_wait() {
        let mut preflight = b"OPTIONS / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
        assert_eq!(carry_out(Order::Withhold, &mut preflight, false), Action::Pass);
        let whole = request(&[7; 60]);
        for order in [Order::Withhold, Order::Replay, Order::CorruptRequest] {
            for len in 0..whole.len() - 40 {
                assert_eq!(
                    carry_out(order, &mut whole[..len].to_vec(), false),
                    Action::Wait,
                    "{order:?} {len}"
                );
            }
        }
        let mut held = whole.clone();
        assert_eq!(carry_out(Order::Replay, &mut held, false), Action::ForwardTwice(whole));
        assert_eq!(carry_out(Order::Withhold, &mut held, false), Action::Withhold);
    }

    #[test]
    fn a_response_is_cut_in_its_middle_and_ends_as_if_it_were_whole() {
        let head = "HTTP/1.1 200 OK\r\nx-mte-relay-eh: QQ==\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut held = format!("{head}8\r\n12345678\r\n").into_bytes();
        assert_eq!(carry_out(Order::CutResponse, &mut held.clone(), false), Action::Pass);
        assert_eq!(carry_out(Order::CutResponse, &mut held, true), Action::ForwardLast);
        let message = wire::message(&held).unwrap();
        assert!(message.whole && message.header("transfer-encoding").is_none());
        assert_eq!((message.status(), &message.body[..]), (200, &b"1234"[..]));
        assert_eq!(carry_out(Order::ForgeStatus, &mut held, true), Action::ForwardChanged(None));
        assert_eq!(wire::message(&held).unwrap().status(), 201);
    }

    #[test]
    fn every_order_has_a_name() {
        for (name, order) in Order::NAMED {
            assert_eq!(order.name(), name);
        }
    }
}
