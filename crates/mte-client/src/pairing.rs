//! Asking the relay for a client id and for pairs (docs/protocol.md, section 2).

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_TYPE, InvalidHeaderValue},
};
use http_body_util::{BodyExt, Limited};
use mte_protocol::{
    Status, control_client_id,
    names::{ROUTE_HELLO, ROUTE_PAIR, X_MTE_RELAY},
    valid_opaque,
};

use crate::{
    Error,
    client::{Inner, Rules},
    error::Cause,
    observer::Paired,
    pool::NewPairs,
    upload::WireBody,
    wire::{Offer, Pair},
};

/// The largest pairing answer; one for 100 pairs is smaller.
const MAX_CONTROL_BYTES: usize = 4 << 20;

impl Inner {
    /// The next pair in turn, from a new pairing if necessary. `reason` says what made that necessary.
    pub(crate) async fn take_pair(&self, reason: Option<&str>) -> Result<Arc<Pair>, Error> {
        // Twice, so that it is connecting that fails where there is no connection.
        let after = self.rules.timeout * 2;
        self.pool
            .take(|client_id| async move {
                let pairing = self.pair_again(client_id, reason);
                let timeout = |_| Error::Timeout { what: "pairing with the relay", after };
                tokio::time::timeout(after, pairing).await.map_err(timeout)?
            })
            .await
    }

    /// Asks for a client id where there is none, then for pairs (docs/protocol.md, section 2).
    async fn pair_again(&self, known: Option<String>, reason: Option<&str>) -> Result<NewPairs, Error> {
        if let Some(id) = known {
            match self.pair_under(id, reason).await {
                // The relay does not accept the id: its secret has changed. Continue as a new client.
                Err(error) if error.relay_status() == Some(Status::ClientIdInvalid.code()) => {}
                outcome => return outcome,
            }
        }
        let id = self.hello().await?;
        self.pair_under(id, reason).await
    }

    async fn hello(&self) -> Result<String, Error> {
        let response = self.call(self.wire_request(&Method::HEAD, ROUTE_HELLO)?).await?;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            return Err(self.clear_error(parts.status, &parts.headers, body).await);
        }
        let value = parts.headers.get(X_MTE_RELAY).and_then(|value| value.to_str().ok());
        let id = value
            .and_then(control_client_id)
            .filter(|id| valid_opaque(id))
            .ok_or_else(|| Error::Pairing("the answer has no client id; is this an MTE relay?".into()))?;
        if let Some(observer) = &self.observer {
            observer.client_id(id);
        }
        Ok(id.to_owned())
    }

    async fn pair_under(&self, client_id: String, reason: Option<&str>) -> Result<NewPairs, Error> {
        let Rules { pairs, kem, .. } = self.rules;
        let offer = off_the_workers(pairs, move || Offer::new(pairs, kem)).await?;
        let body = Bytes::from(offer.to_json());
        let sent = body.len();

        let mut request = self.wire_request(&Method::POST, ROUTE_PAIR)?;
        let id = client_id
            .parse()
            .map_err(|error: InvalidHeaderValue| Error::Pairing(format!("the client id: {error}")))?;
        request.headers_mut().insert(X_MTE_RELAY, id);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = WireBody::Whole(body);

        let (parts, body) = self.call(request).await?.into_parts();
        if parts.status != StatusCode::OK {
            return Err(self.clear_error(parts.status, &parts.headers, body).await);
        }
        let answer = Limited::new(body, MAX_CONTROL_BYTES)
            .collect()
            .await
            .map_err(|error| Error::Http(Cause::from(error)))?
            .to_bytes();
        let received = answer.len();
        let (client_id, pairs) = off_the_workers(pairs, move || {
            let pairs = offer.accept(&client_id, &answer);
            (client_id, pairs)
        })
        .await?;
        let pairs = pairs?;
        if let Some(observer) = &self.observer {
            observer.paired(&Paired { pairs: pairs.len(), kem, sent, received, reason });
        }
        Ok(NewPairs { client_id, pairs })
    }
}

/// Key encapsulation takes time: for more than a few pairs it does not belong on a thread that serves others.
async fn off_the_workers<T: Send + 'static>(
    pairs: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    const FEW: usize = 5;
    if pairs <= FEW {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Pairing("the runtime is shutting down".into()))
}
