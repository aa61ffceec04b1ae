//! The route of a request (docs/protocol.md, section 2).

use http::Method;
use mte_protocol::names::{ROUTE_ECHO, ROUTE_ERRORS, ROUTE_HELLO, ROUTE_PAIR};

use super::error::Failure;
use crate::{domains::Tenant, telemetry::RouteLabel};

/// The routes through the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The client asks for its id.
    Hello,
    /// The client pairs.
    Pair,
    /// A health check.
    Echo,
    /// The list of the relay's statuses.
    Errors,
    /// Proxied as it is.
    PassThrough,
    /// Opened, proxied, sealed.
    Encrypted,
    /// Sealed, sent to another relay, opened.
    Outbound,
}

impl Route {
    /// The control route of a path, if it is one.
    ///
    /// # Errors
    /// [`Failure::MethodNotAllowed`].
    pub(crate) fn control(method: &Method, path: &str) -> Result<Option<Self>, Failure> {
        let get = *method == Method::GET || *method == Method::HEAD;
        let (route, allowed, methods) = match path {
            ROUTE_HELLO => (Self::Hello, get, "HEAD, GET"),
            ROUTE_PAIR => (Self::Pair, *method == Method::POST, "POST"),
            ROUTE_ERRORS => (Self::Errors, get, "GET"),
            _ if path
                .strip_prefix(ROUTE_ECHO)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) =>
            {
                (Self::Echo, get, "GET")
            }
            _ => return Ok(None),
        };
        if allowed { Ok(Some(route)) } else { Err(Failure::MethodNotAllowed(methods.into())) }
    }

    /// Its label in logs and metrics.
    pub(crate) fn label(self) -> RouteLabel {
        match self {
            Self::Hello | Self::Echo | Self::Errors => RouteLabel::Control,
            Self::Pair => RouteLabel::Pairing,
            Self::PassThrough => RouteLabel::PassThrough,
            Self::Encrypted => RouteLabel::Encrypted,
            Self::Outbound => RouteLabel::Outbound,
        }
    }

    /// The route of a path that is no control route. Whether an encrypted route is one of the tenant's can
    /// only be known once its URL is opened.
    pub(crate) fn of_tenant(tenant: &Tenant, path: &str) -> Self {
        if tenant.pass_through.matches(path) { Self::PassThrough } else { Self::Encrypted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_routes_have_their_methods() {
        assert_eq!(Route::control(&Method::HEAD, "/api/mte-relay"), Ok(Some(Route::Hello)));
        assert_eq!(Route::control(&Method::POST, "/api/mte-pair"), Ok(Some(Route::Pair)));
        assert_eq!(Route::control(&Method::GET, "/api/mte-echo/hello"), Ok(Some(Route::Echo)));
        assert_eq!(Route::control(&Method::GET, "/api/mte-echoes"), Ok(None));
        assert_eq!(
            Route::control(&Method::GET, "/api/mte-pair"),
            Err(Failure::MethodNotAllowed("POST".into()))
        );
    }
}
