//! An upstream's response, sealed (docs/protocol.md, section 4): its header map, and its body as it arrives.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, header, response::Parts};
use mte_codec::{EncodeType, SealError, seal};
use mte_session::server::{BodySealer, ResponseError, ResponseHead, ResponseSealer, SealedHead};
use pingora_core::{ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;

use super::{
    decode::{Coding, DecodeError, Decoder},
    headers,
};
use crate::{
    gateway::{error::Failure, reading::stated_length},
    limits::Gathered,
};

/// One response on its way to the client.
pub(crate) struct Sealing {
    /// Until the head is sealed.
    sealer: Option<ResponseSealer>,
    /// From then on, if there is a body.
    body: Option<BodySealer>,
    /// Whether the request was a HEAD.
    to_head: bool,
    /// The largest body of type MTE,
    max_mte_body: usize,
    /// and the budget for it.
    held: Option<Gathered>,
    /// Decodes a body that the upstream compressed.
    decoder: Option<Decoder>,
    /// Plain and encoded bytes of the header map, plain bytes of the body.
    pub sizes: Sizes,
    /// How many messages were sealed.
    pub messages: u64,
    /// What sealing the head took,
    pub head_took: Duration,
    /// and the body.
    pub body_took: Duration,
}

/// What was sealed, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// The header map.
    pub map: u64,
    /// Its message.
    pub map_encoded: u64,
    /// The body's plaintext.
    pub body: u64,
}

impl Sealing {
    /// A response that has not begun. `held` is the budget for a body of type MTE.
    pub(crate) fn new(
        sealer: ResponseSealer,
        to_head: bool,
        max_mte_body: usize,
        held: Option<Gathered>,
    ) -> Self {
        Self {
            sealer: Some(sealer),
            body: None,
            to_head,
            max_mte_body,
            held,
            decoder: None,
            sizes: Sizes::default(),
            messages: 0,
            head_took: Duration::ZERO,
            body_took: Duration::ZERO,
        }
    }

    /// Seals a response's headers and prepares its body; `follows` says whether there is one.
    ///
    /// # Errors
    /// 502 if sealing fails, and for a body of type MTE that is known to be too large.
    pub(crate) fn head(&mut self, response: &mut ResponseHeader, follows: bool) -> Result<(), Failure> {
        let sealer = self.sealer.take().ok_or(ResponseError::Seal(SealError::Finished))?;
        self.decode(&sealer, response, follows)?;
        let length = content_length(response).filter(|_| follows);
        let head = ResponseHead {
            status: response.status,
            headers: &response.headers,
            to_head: self.to_head,
            has_body: follows,
        };
        let sealed = sealer.head(&head, &mut rand::rng())?;
        // Before anything is sent, where the size is known: then the response can still be refused.
        self.hold(length.unwrap_or_default())?;
        write_head(response, &sealed).map_err(|error| Failure::Internal(error.to_string()))?;
        (self.sizes.map, self.sizes.map_encoded) = (sealed.map_len, sealed.map_encoded_len);
        self.messages = 1 + u64::from(follows);
        self.body = sealed.body;
        Ok(())
    }

    /// Decodes a body that the upstream compressed although the relay requested `identity`. A partial body (206) and
    /// one whose coding is not known stay unchanged, with their sealed `content-encoding`.
    fn decode(
        &mut self,
        sealer: &ResponseSealer,
        response: &mut ResponseHeader,
        follows: bool,
    ) -> Result<(), Failure> {
        if sealer.wanted().decodes_itself() || response.status == StatusCode::PARTIAL_CONTENT {
            return Ok(());
        }
        let mut codings = response.headers.get_all(header::CONTENT_ENCODING).iter();
        let (Some(value), None) = (codings.next(), codings.next()) else { return Ok(()) };
        let name = value.to_str().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("identity") {
            response.remove_header(&header::CONTENT_ENCODING);
        } else if let Some(coding) = Coding::parse(name) {
            headers::remove_encoding(response);
            if follows {
                self.decoder = Some(Decoder::new(coding).map_err(undecodable)?);
            }
        }
        Ok(())
    }

    /// Replaces a part of the body with the bytes for the client.
    ///
    /// # Errors
    /// A body that cannot be decoded, one of type MTE that outgrows its limit, or a fault in sealing: the response is
    /// cut then.
    pub(crate) fn body(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<(), Failure> {
        let began = Instant::now();
        if let Some(decoder) = &mut self.decoder {
            let decoded = decoder.push(body.as_deref().unwrap_or_default(), end).map_err(undecodable)?;
            self.sizes.body += decoded.len() as u64;
            self.hold(self.sizes.body as usize)?;
            *body = Some(self.seal(decoded.into_bytes(), end)?);
        } else {
            let part = body.take().unwrap_or_default();
            self.sizes.body += part.len() as u64;
            self.hold(self.sizes.body as usize)?;
            *body = Some(self.seal(part, end)?);
        }
        self.body_took += began.elapsed();
        Ok(())
    }

    /// Reserves memory for a gathered body of `len` bytes so far: as much as it needs when it is sealed.
    fn hold(&mut self, len: usize) -> Result<(), Failure> {
        let Some(held) = &mut self.held else { return Ok(()) };
        // What is larger is refused for that.
        let len = len.min(self.max_mte_body);
        Ok(held.hold(seal::message_len(EncodeType::Mte, len))?)
    }

    /// The bytes for the client for a part of the body.
    fn seal(&mut self, part: Bytes, end: bool) -> Result<Bytes, ResponseError> {
        self.body.as_mut().map_or(Ok(Bytes::new()), |body| body.seal(part, end, &mut rand::rng()))
    }

    /// Whether the final frame has not been sent yet.
    pub(crate) fn is_open(&self) -> bool {
        self.body.as_ref().is_some_and(|body| !body.is_finished())
    }
}

/// Moves what is sealed out of the clear part. What stays describes ciphertext, and loses the spelling of its names.
fn write_head(response: &mut ResponseHeader, sealed: &SealedHead) -> Result<()> {
    let reason =
        response.get_reason_phrase().filter(|reason| response.status.canonical_reason() != Some(reason));
    let reason = reason.map(str::to_owned);
    let mut parts = Parts::from(std::mem::replace(response, ResponseHeader::build_no_case(200, Some(0))?));
    let applied = sealed.apply(&mut parts.headers);
    *response = parts.into();
    response.set_reason_phrase(reason.as_deref())?;
    applied.or_err(ErrorType::InternalError, "a sealed head's own headers")
}

fn content_length(response: &ResponseHeader) -> Option<usize> {
    stated_length(&response.headers)?.try_into().ok()
}

fn undecodable(error: DecodeError) -> Failure {
    Failure::BadGateway(format!("the upstream's response cannot be decoded: {error}"))
}
