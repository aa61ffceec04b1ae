//! The admin routes' answers.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::{Admin, Parts, Transport, readiness, refusal, refusal::Refusal};
use crate::{config, telemetry, upstream::Health};

/// The status page: one file without external resources.
const PAGE: &str = include_str!("status.html");
/// The page may use its own script and style, and send requests to this listener.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const YAML: &str = "application/yaml";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The largest request body that is accepted.
const MAX_BODY: usize = 1_024;

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
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
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

/// Whether a method makes no changes.
pub(super) fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    transport: Transport,
    admin: &Arc<Admin>,
) -> Result<Answer, Infallible> {
    if let Err(refusal) = refusal::check(&request, transport, admin) {
        return Ok(refused(&refusal, &admin.parts));
    }
    let parts = &admin.parts;
    Ok(match (request.uri().path(), only_reads(request.method())) {
        ("/", true) => ok(HTML, PAGE),
        ("/status.json", true) => large(admin, JSON, super::history::status_json).await,
        ("/metrics", true) => large(admin, METRICS, metrics).await,
        ("/livez", true) => ok(TEXT, "ok\n"),
        ("/readyz", true) => ready(parts),
        ("/config", true) => large(admin, YAML, effective).await,
        ("/log-level", true) => ok(TEXT, format!("{}\n", level_name(log::max_level()))),
        ("/log-level", false) if request.method() == Method::PUT => set_level(request).await,
        ("/reload", false) if request.method() == Method::POST => reload(admin).await,
        ("/" | "/status.json" | "/metrics" | "/livez" | "/readyz" | "/config" | "/log-level", _) => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this method is not allowed here: see GET /")
        }
        ("/reload", _) => problem(StatusCode::METHOD_NOT_ALLOWED, "reload with POST"),
        _ => problem(StatusCode::NOT_FOUND, "no such admin route: see GET /"),
    })
}

fn refused(refusal: &Refusal, parts: &Parts) -> Answer {
    parts.metrics.admin_refused.with_label_values(&[refusal.cause()]).inc();
    let mut response = problem(refusal.status(), &refusal.text());
    let headers = response.headers_mut();
    if refusal.status() == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Descriptors needed to build an answer: files in /proc, or of the configuration.
const FILES: usize = 4;

/// Builds an answer that may be slow with thousands of tenants, on another thread: health checks do not wait for it.
async fn large<T: Into<Bytes> + 'static>(
    admin: &Arc<Admin>,
    kind: &'static str,
    make: fn(&Parts) -> T,
) -> Answer {
    // The semaphore is never closed.
    let _place = admin.large_answers.acquire().await;
    let admin = admin.clone();
    let made = tokio::task::spawn_blocking(move || {
        let _files = admin.reserve.lend(FILES);
        make(&admin.parts).into()
    });
    match made.await {
        Ok(body) => ok(kind, body),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn metrics(parts: &Parts) -> String {
    let metrics = &parts.metrics;
    metrics.in_flight.set(parts.in_flight.get() as i64);
    metrics.pool.ready.set(parts.pool.ready() as i64);
    let config = parts.config.load();
    let peers = config.domains.tenants().flat_map(|tenant| {
        let idle = tenant.metrics.is_idle();
        tenant.upstream.peers.iter().filter_map(move |peer| {
            let (health, in_flight) = (peer.state.health(), peer.state.in_flight());
            let unused = idle && in_flight == 0;
            // An idle tenant has something to show only if its peers are checked.
            (!unused || health != Health::Unchecked).then(|| telemetry::Peer {
                tenant: &tenant.name,
                peer: &peer.origin,
                healthy: matches!(health, Health::Healthy | Health::Unchecked),
                in_flight: (!unused).then_some(in_flight),
            })
        })
    });
    metrics.text_with(peers)
}

fn ready(parts: &Parts) -> Answer {
    let readiness = readiness(parts);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    respond(status, JSON, serde_json::to_vec(&readiness).unwrap_or_default())
}

fn effective(parts: &Parts) -> String {
    // Settings that were read can be written.
    serde_yaml::to_string(&parts.config.load().settings).unwrap_or_default()
}

/// The level's name in the configuration.
fn level_name(level: log::LevelFilter) -> String {
    match level {
        log::LevelFilter::Warn => "warning".to_owned(),
        other => other.as_str().to_ascii_lowercase(),
    }
}

async fn set_level(request: Request<Incoming>) -> Answer {
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return problem(StatusCode::BAD_REQUEST, "send the level as text, as in: info");
    };
    let body = body.to_bytes();
    match config::parse_level(String::from_utf8_lossy(&body).trim()) {
        Ok(level) => {
            let name = level_name(level);
            // Logged at the more verbose of the two levels.
            let more = level.max(log::max_level());
            telemetry::set_level(more);
            log::info!("log level set to {name} by the admin listener, until the next change or restart");
            telemetry::set_level(level);
            ok(TEXT, format!("{name}\n"))
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn reload(admin: &Arc<Admin>) -> Answer {
    let Some(reloader) = admin.reloader.clone() else {
        return problem(StatusCode::CONFLICT, "this relay's configuration did not come from a file");
    };
    let admin = admin.clone();
    let reloading = tokio::task::spawn_blocking(move || {
        let _files = admin.reserve.lend(FILES);
        reloader.reload()
    });
    match reloading.await {
        Ok(Ok(())) => ok(TEXT, "reloaded\n"),
        Ok(Err(problems)) => problem(StatusCode::UNPROCESSABLE_ENTITY, &format!("not reloaded:\n{problems}")),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
