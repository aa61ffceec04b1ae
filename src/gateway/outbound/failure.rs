//! What is answered when a peer cannot be used or fails. Nothing that a peer says makes the client repeat its request: none
//! of 559 to 569 is passed on.

use mte_client::{Error, NotRepeated};

use super::super::error::Failure;
use crate::{outbound::Refused, upstream::UpstreamUrl};

/// The peer answered that the request would go round in circles.
const LOOP_DETECTED: u16 = 508;
const GATEWAY_TIMEOUT: u16 = 504;

/// The failure for an error of the client.
pub(super) fn of(peer: &UpstreamUrl, error: &Error) -> Failure {
    if let Some(refused) = Refused::of(error) {
        return not_allowed(peer, refused);
    }
    let text = || format!("{peer}: {}", error.report());
    match error {
        _ if error.is_timeout() => Failure::PeerTimeout(text()),
        Error::Connect { .. } => Failure::PeerUnreachable(text()),
        Error::Relay { status: LOOP_DETECTED, .. } => Failure::Loop,
        Error::Relay { status: GATEWAY_TIMEOUT, .. } => Failure::PeerTimeout(text()),
        Error::Relay { status, note, .. } => Failure::PeerRefused {
            status: *status,
            may_have_run: note.as_ref().is_some_and(|note| *note != NotRepeated::Twice),
            why: text(),
        },
        // Made of what the client sent.
        Error::Setting(why) => Failure::BadRequest(why.clone().into()),
        Error::RequestUrl { .. } | Error::Header { .. } | Error::BodyLength { .. } => {
            Failure::BadRequest(error.to_string().into())
        }
        Error::Seal(_) => Failure::Internal(text()),
        _ => Failure::PeerFailed(text()),
    }
}

/// The failure for a peer that is not allowed. The client is not told the address: that would let it explore what names
/// mean inside of this network.
pub(super) fn not_allowed(peer: &UpstreamUrl, why: Refused) -> Failure {
    Failure::PeerNotAllowed(format!("{peer}: {why}"))
}
