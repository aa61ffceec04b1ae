//! The admin routes' answers.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::{Via, readiness};
use crate::{config, relay::Shared, reload::Reloader, telemetry};

/// The status page: one file, nothing from elsewhere.
const PAGE: &str = include_str!("status.html");
/// What the page may do: run its own script and style, and ask this listener.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const YAML: &str = "application/yaml";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The largest request body there is.
const MOST_BODY: usize = 1_024;

type Answer = Response<Full<Bytes>>;

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    response
}

fn ok(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    respond(StatusCode::OK, kind, body)
}

fn problem(status: StatusCode, text: &str) -> Answer {
    respond(status, TEXT, format!("{text}\n"))
}

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    via: Via,
    shared: &Arc<Shared>,
    reloader: Option<&Arc<Reloader>>,
) -> Result<Answer, Infallible> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && let Some(refused) = refusal(&request, via, shared) {
        return Ok(refused);
    }
    Ok(match (request.uri().path(), reads) {
        ("/", true) => ok(HTML, PAGE),
        ("/status.json", true) => ok(JSON, super::history::status_json(shared)),
        ("/metrics", true) => ok(METRICS, metrics(shared)),
        ("/livez", true) => ok(TEXT, "ok\n"),
        ("/readyz", true) => ready(shared),
        ("/config", true) => effective(shared),
        ("/log-level", true) => ok(TEXT, format!("{}\n", level_name(log::max_level()))),
        ("/log-level", false) if request.method() == Method::PUT => set_level(request).await,
        ("/reload", false) if request.method() == Method::POST => reload(reloader).await,
        ("/" | "/status.json" | "/metrics" | "/livez" | "/readyz" | "/config" | "/log-level", _) => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "not with this method: see GET /")
        }
        ("/reload", _) => problem(StatusCode::METHOD_NOT_ALLOWED, "reload with POST"),
        _ => problem(StatusCode::NOT_FOUND, "no such admin route: see GET /"),
    })
}

/// The refusal of a request that may not change anything.
fn refusal(request: &Request<Incoming>, via: Via, shared: &Shared) -> Option<Answer> {
    if via == Via::Socket {
        return None;
    }
    let config = shared.config.load();
    let Some(token) = &config.admin.token else {
        return Some(problem(
            StatusCode::FORBIDDEN,
            "nothing can be changed here: set admin.token_file, or use admin.socket",
        ));
    };
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    let same = |given: &[u8]| {
        aws_lc_rs::constant_time::verify_slices_are_equal(given, token.reveal().as_bytes()).is_ok()
    };
    if given.is_some_and(same) {
        None
    } else {
        let mut refused =
            problem(StatusCode::UNAUTHORIZED, "this needs the admin token: authorization: Bearer <token>");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        Some(refused)
    }
}

fn metrics(shared: &Shared) -> String {
    let metrics = &shared.metrics;
    metrics.in_flight.set(shared.in_flight.get() as i64);
    metrics.pool.ready.set(shared.pool.ready() as i64);
    let config = shared.config.load();
    let mut peers = Vec::new();
    for tenant in config.domains.tenants() {
        for peer in &tenant.upstream.peers {
            use crate::upstream::Health;
            let healthy = matches!(peer.state.health(), Health::Healthy | Health::Unchecked);
            peers.push((&*tenant.name, peer.origin.as_str(), healthy, peer.state.in_flight()));
        }
    }
    metrics.set_peers(peers.into_iter());
    metrics.text()
}

fn ready(shared: &Shared) -> Answer {
    let readiness = readiness(shared);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond(status, JSON, serde_json::to_vec(&readiness).unwrap_or_default())
}

fn effective(shared: &Shared) -> Answer {
    match serde_yaml::to_string(&shared.config.load().settings) {
        Ok(text) => ok(YAML, text),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// As the configuration writes it.
fn level_name(level: log::LevelFilter) -> String {
    match level {
        log::LevelFilter::Warn => "warning".to_owned(),
        other => other.as_str().to_ascii_lowercase(),
    }
}

async fn set_level(request: Request<Incoming>) -> Answer {
    let Ok(body) = Limited::new(request.into_body(), MOST_BODY).collect().await else {
        return problem(StatusCode::BAD_REQUEST, "send the level as text, as in: info");
    };
    let body = body.to_bytes();
    match config::parse_level(String::from_utf8_lossy(&body).trim()) {
        Ok(level) => {
            let name = level_name(level);
            // Under the more talkative of the two levels.
            let more = level.max(log::max_level());
            telemetry::set_level(more);
            log::info!("log level set to {name} by the admin listener, until the next change or restart");
            telemetry::set_level(level);
            ok(TEXT, format!("{name}\n"))
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error),
    }
}

async fn reload(reloader: Option<&Arc<Reloader>>) -> Answer {
    let Some(reloader) = reloader.cloned() else {
        return problem(StatusCode::CONFLICT, "this relay's configuration did not come from a file");
    };
    match tokio::task::spawn_blocking(move || reloader.reload()).await {
        Ok(Ok(())) => ok(TEXT, "reloaded\n"),
        Ok(Err(problems)) => problem(StatusCode::UNPROCESSABLE_ENTITY, &format!("not reloaded:\n{problems}")),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
