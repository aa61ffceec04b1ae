//! A tenant's CORS policy: the origins that may call from a browser, checked and in the form by which they are compared.

use http::{HeaderValue, Method};

use crate::host::{self, HostError};

/// The origins that browsers may send requests from (docs/protocol.md, section 6).
#[derive(Debug)]
pub struct Cors {
    any: bool,
    exact: Vec<String>,
    /// The scheme with `://`, and the part after the `*`.
    wildcard: Vec<(String, String)>,
    /// Whether credentials may be sent.
    pub credentials: bool,
    /// The value of `access-control-allow-methods` and of `allow`.
    pub methods: HeaderValue,
    listed: Vec<Method>,
}

/// Why origins cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorsError {
    /// Every origin together with credentials.
    #[error(
        "\"*\" allows every origin, which browsers refuse together with credentials: \
         list the origins, or set cors_credentials: false"
    )]
    AnyWithCredentials,
    /// There is no scheme.
    #[error("{0:?} is not an origin: write https://app.example.com")]
    NotAnOrigin(String),
    /// There is a path, query or fragment.
    #[error("{0:?} is more than an origin: write scheme, host and port only")]
    MoreThanAnOrigin(String),
    /// Its port is not valid.
    #[error("{origin:?} {error}")]
    Port {
        /// The origin.
        origin: String,
        /// Why.
        #[source]
        error: HostError,
    },
    /// A `*` that is not the first label.
    #[error("{0:?}: a * may only stand for the first label")]
    Star(String),
    /// The methods are not a valid header value.
    #[error("the methods are not a valid header value")]
    Methods,
}

impl Default for Cors {
    fn default() -> Self {
        Self {
            any: false,
            exact: Vec::new(),
            wildcard: Vec::new(),
            credentials: false,
            methods: HeaderValue::from_static("OPTIONS, HEAD"),
            listed: vec![Method::OPTIONS, Method::HEAD],
        }
    }
}

impl Cors {
    /// Checks origins and joins methods. `credentials` absent means yes, unless every origin is allowed.
    ///
    /// # Errors
    /// [`CorsError`]: what is wrong with an origin.
    pub fn new(
        origins: &[String],
        methods: Vec<Method>,
        credentials: Option<bool>,
    ) -> Result<Self, CorsError> {
        let any = origins.iter().any(|origin| origin == "*");
        if any && credentials == Some(true) {
            return Err(CorsError::AnyWithCredentials);
        }
        let mut cors = Self { any, credentials: credentials.unwrap_or(!any), ..Self::default() };
        for origin in origins.iter().filter(|origin| *origin != "*") {
            let origin = origin.trim_end_matches('/').to_ascii_lowercase();
            let Some((scheme, host)) = origin.split_once("://") else {
                return Err(CorsError::NotAnOrigin(origin));
            };
            match host.strip_prefix("*.") {
                _ if host.is_empty() || host.contains(['/', '?', '#', ' ', '@']) => {
                    return Err(CorsError::MoreThanAnOrigin(origin));
                }
                rest if host::parse(rest.unwrap_or(host)) == Err(HostError::Port) => {
                    return Err(CorsError::Port { origin, error: HostError::Port });
                }
                Some(rest) if !rest.contains('*') => {
                    cors.wildcard.push((format!("{scheme}://"), format!(".{rest}")));
                }
                None if !host.contains('*') => cors.exact.push(origin),
                _ => return Err(CorsError::Star(origin)),
            }
        }
        let mut all = methods;
        // These methods concern the relay itself (a tunnel, an echo of the request as received), never an upstream.
        all.retain(|method| !matches!(*method, Method::CONNECT | Method::TRACE));
        for method in [Method::OPTIONS, Method::HEAD] {
            if !all.contains(&method) {
                all.push(method);
            }
        }
        let joined = all.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        cors.methods = HeaderValue::from_str(&joined).map_err(|_| CorsError::Methods)?;
        cors.listed = all;
        Ok(cors)
    }

    /// Whether this method is allowed, from a browser or not.
    pub fn allows_method(&self, method: &Method) -> bool {
        self.listed.contains(method)
    }

    /// Whether this origin is allowed.
    pub fn allows(&self, origin: &str) -> bool {
        let under = |(scheme, suffix): &(String, String)| {
            let host =
                origin.strip_prefix(scheme.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()));
            host.is_some_and(|label| !label.is_empty() && !label.contains(['/', '@', ':']))
        };
        self.any
            || self.exact.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
            || self.wildcard.iter().any(under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_exactly_or_by_wildcard() {
        let origins = ["https://app.example.com".to_owned(), "https://*.example.org".to_owned()];
        let cors = Cors::new(&origins, vec![Method::GET], None).unwrap();
        assert!(cors.allows("https://app.example.com") && cors.credentials);
        assert!(cors.allows("https://a.example.org") && cors.allows("https://a.b.example.org"));
        for wrong in [
            "http://app.example.com",
            "https://app.example.com.evil",
            "https://example.org",
            "https://e@x.example.org",
            "null",
        ] {
            assert!(!cors.allows(wrong), "{wrong}");
        }
        assert_eq!(cors.methods, "GET, OPTIONS, HEAD");
    }

    #[test]
    fn every_origin_with_credentials_is_refused() {
        let star = ["*".to_owned()];
        let error = Cors::new(&star, vec![], Some(true)).unwrap_err();
        assert!(error.to_string().contains("cors_credentials"), "{error}");
        assert!(!Cors::new(&star, vec![], None).unwrap().credentials);
    }
}
