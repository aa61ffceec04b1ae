//! Which requests are refused, and why: status, text and label in one place.

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Duration, Instant},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};
use http::{HeaderMap, Request, StatusCode, Uri, Version, header, uri::Authority};

use super::{Admin, Transport, guesses::Outcome};
use crate::{config::Secret, host};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// HTTP/1.1 without a Host, or with several.
    NoHost,
    /// The Host is not a name of this listener.
    Host(String),
    /// It makes a change, and a browser sent it for a page of another origin.
    Origin,
    /// No token is configured.
    NoTokenHere,
    /// The token is missing.
    NoToken,
    /// The token is wrong.
    WrongToken,
    /// The client has sent too many wrong tokens; the time to wait.
    TooManyGuesses(Duration),
}

impl Refusal {
    /// The table: status, label in metrics, text.
    fn row(&self) -> (StatusCode, &'static str, Cow<'static, str>) {
        match self {
            Self::NoHost => (StatusCode::BAD_REQUEST, "host", "send one Host header".into()),
            Self::Host(host) => {
                let text = format!(
                    "{host} is not a name of this listener: use localhost or the address that it listens on, or add the name to admin.hosts"
                );
                (StatusCode::MISDIRECTED_REQUEST, "host", text.into())
            }
            Self::Origin => {
                (StatusCode::FORBIDDEN, "origin", "a page of another origin cannot make changes here".into())
            }
            Self::NoTokenHere => (
                StatusCode::FORBIDDEN,
                "no_token",
                "changes are not allowed here: set admin.token_file, or use admin.socket".into(),
            ),
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "no_token",
                "this needs the admin token: authorization: Bearer <token>".into(),
            ),
            Self::WrongToken => {
                (StatusCode::UNAUTHORIZED, "wrong_token", "this is not the admin token".into())
            }
            Self::TooManyGuesses(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_guesses",
                "too many wrong tokens: wait, use another address, or use admin.socket".into(),
            ),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.row().0
    }

    /// The label in metrics.
    pub(super) fn cause(&self) -> &'static str {
        self.row().1
    }

    pub(super) fn text(&self) -> Cow<'static, str> {
        self.row().2
    }

    /// The time to wait, in whole seconds.
    pub(super) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyGuesses(wait) => Some(wait.as_secs() + 1),
            _ => None,
        }
    }
}

/// Whether a request over this transport is answered.
pub(super) fn check<B>(request: &Request<B>, transport: Transport, admin: &Admin) -> Result<(), Refusal> {
    let Transport::Tcp { client, local } = transport else { return Ok(()) };
    let config = admin.parts.config.load();
    check_host(request, local, &config.admin.hosts)?;
    if super::routes::only_reads(request.method()) {
        return Ok(());
    }
    check_origin(request)?;
    let Some(token) = &config.admin.token else { return Err(Refusal::NoTokenHere) };
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).ok_or(Refusal::NoToken)?;
    let outcome = admin.guesses.lock().look(client, Instant::now(), || is_token(given, token));
    match outcome {
        Outcome::Right => Ok(()),
        Outcome::Wrong => {
            // There cannot be many of these lines, because wrong tokens are slowed down.
            log::warn!("a wrong admin token came from {client}");
            Err(Refusal::WrongToken)
        }
        Outcome::TooMany(wait) => Err(Refusal::TooManyGuesses(wait)),
    }
}

/// Compares in constant time. Digests are compared, so that the time does not depend on the length either.
fn is_token(given: &[u8], token: &Secret) -> bool {
    let hash = |bytes| digest::digest(&digest::SHA256, bytes);
    verify_slices_are_equal(hash(given).as_ref(), hash(token.reveal().as_bytes()).as_ref()).is_ok()
}

/// A page can make its own name resolve to this listener's address (DNS rebinding), and then a browser lets it read the
/// answers. The name stays the page's, so the name is checked.
fn check_host<B>(request: &Request<B>, local: IpAddr, hosts: &[String]) -> Result<(), Refusal> {
    let mut written = request.headers().get_all(header::HOST).iter();
    let of_target = request.uri().authority().map(Authority::as_str);
    match (written.next(), written.next()) {
        (Some(host), None) => {
            let host = host.to_str().unwrap_or_default();
            [Some(host), of_target].into_iter().flatten().try_for_each(|host| check_name(host, local, hosts))
        }
        // Health checks of load balancers; browsers do not use HTTP/1.0.
        (None, _) if request.version() == Version::HTTP_10 && is_health(request.uri()) => Ok(()),
        _ => Err(Refusal::NoHost),
    }
}

fn is_health(uri: &Uri) -> bool {
    uri.authority().is_none() && matches!(uri.path(), "/livez" | "/readyz")
}

fn check_name(written: &str, local: IpAddr, hosts: &[String]) -> Result<(), Refusal> {
    let refused = || Refusal::Host(format!("{:?}", written.chars().take(100).collect::<String>()));
    let authority: Authority = written.parse().map_err(|_| refused())?;
    let name = host::bare(authority.host()).filter(|_| !written.contains('@')).ok_or_else(refused)?;
    let own = |address: IpAddr| address.is_loopback() || address == local.to_canonical();
    let is_own = name == "localhost" || name.parse().is_ok_and(own) || hosts.contains(&name);
    if is_own { Ok(()) } else { Err(refused()) }
}

/// Browsers send the page's origin with every request that makes a change. Command-line tools do not.
fn check_origin<B>(request: &Request<B>) -> Result<(), Refusal> {
    let text = |headers: &HeaderMap, name| headers.get(name)?.to_str().ok().map(str::to_owned);
    let headers = request.headers();
    let host = text(headers, header::HOST.as_str()).unwrap_or_default();
    let same = |origin: &http::HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        // The scheme is ignored: this listener has no TLS, but a proxy in front of it may have.
        let origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(&host))
    };
    let from_page = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    if headers.get_all(header::ORIGIN).iter().all(same) && !from_page { Ok(()) } else { Err(Refusal::Origin) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "10.1.2.3";

    fn refusal(version: Version, target: &str, fields: &[(&'static str, &str)]) -> Option<Refusal> {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let hosts = ["relay.internal".to_owned(), "192.0.2.7".to_owned()];
        check_host(&request.body(()).unwrap(), LOCAL.parse().unwrap(), &hosts).err()
    }

    #[test]
    fn only_requests_for_a_name_of_its_own_are_answered() {
        for host in [
            "localhost",
            "LocalHost:9090",
            "localhost.",
            "127.0.0.1",
            "127.9.9.9:80",
            "[::1]",
            "[::1]:9090",
            "[::ffff:127.0.0.1]",
            "10.1.2.3",
            "10.1.2.3:9090",
            "relay.internal",
            "Relay.Internal.:9090",
            "192.0.2.7",
        ] {
            assert_eq!(refusal(Version::HTTP_11, "/config", &[("host", host)]), None, "{host}");
        }
        for host in [
            "evil.test",
            "evil.test:9090",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "evil.localhost",
            "10.1.2.4",
            "0.0.0.0",
            "[::]",
            "",
            "localhost@evil.test",
            "evil.test@localhost",
            "127.1",
            "2130706433",
            "0x7f.1",
            "local host",
            "localhost, evil.test",
            "admin",
            "[fe80::1]",
        ] {
            let refused = refusal(Version::HTTP_11, "/livez", &[("host", host)]);
            assert!(matches!(refused, Some(Refusal::Host(_))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn a_target_that_names_a_host_counts_as_well() {
        let own = ("host", "localhost");
        assert_eq!(refusal(Version::HTTP_11, "http://localhost:9090/config", &[own]), None);
        assert!(refusal(Version::HTTP_11, "http://evil.test/config", &[own]).is_some());
        assert!(refusal(Version::HTTP_11, "http://localhost/config", &[("host", "evil.test")]).is_some());
    }

    #[test]
    fn one_host_is_named_and_only_a_health_check_of_http10_may_name_none() {
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(refusal(Version::HTTP_11, "/config", &two), Some(Refusal::NoHost));
        assert_eq!(refusal(Version::HTTP_11, "/livez", &[]), Some(Refusal::NoHost));
        assert_eq!(refusal(Version::HTTP_10, "/config", &[]), Some(Refusal::NoHost));
        for path in ["/livez", "/readyz"] {
            assert_eq!(refusal(Version::HTTP_10, path, &[]), None, "{path}");
            assert!(refusal(Version::HTTP_10, path, &[("host", "evil.test")]).is_some(), "{path}");
        }
    }

    #[test]
    fn a_page_of_another_origin_cannot_make_changes() {
        let refused = |fields: &[(&'static str, &str)]| {
            let mut request = Request::put("/log-level").header("host", "localhost:9090");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            check_origin(&request.body(()).unwrap()).is_err()
        };
        assert!(!refused(&[]));
        assert!(!refused(&[("origin", "http://localhost:9090"), ("sec-fetch-site", "same-origin")]));
        for origin in ["http://evil.test", "null", "http://localhost", "http://localhost:9090.evil.test", ""]
        {
            assert!(refused(&[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(refused(&[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn a_token_is_compared_whole() {
        let token = Secret::from("sixteen letters.".to_owned());
        assert!(is_token(b"sixteen letters.", &token));
        for wrong in ["", "sixteen letters", "sixteen letters..", "Sixteen letters."] {
            assert!(!is_token(wrong.as_bytes(), &token), "{wrong}");
        }
    }
}
