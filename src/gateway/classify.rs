//! Maps Pingora's errors to the relay's failures.

use pingora_core::{Error, ErrorSource, ErrorType};

use super::error::Failure;

/// The failure to answer for an error of Pingora.
pub(super) fn classify(error: &Error) -> Failure {
    if let Some(failure) = error.root_cause().downcast_ref::<Failure>() {
        return failure.clone();
    }
    let text = crate::upstream::describe(error);
    match (error.esource(), error.etype()) {
        (_, ErrorType::HTTPStatus(status)) if *status < 500 => {
            Failure::BadRequest("the request cannot be served".into())
        }
        (
            ErrorSource::Upstream,
            ErrorType::ReadTimedout | ErrorType::ConnectTimedout | ErrorType::WriteTimedout,
        ) => Failure::GatewayTimeout(text),
        (ErrorSource::Upstream, _) => Failure::BadGateway(text),
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Failure::RequestTimeout,
        (ErrorSource::Downstream, ErrorType::WriteTimedout) => Failure::ClientTimeout(text),
        (ErrorSource::Downstream, _) => Failure::ClientClosed(text),
        _ => Failure::Internal(text),
    }
}
