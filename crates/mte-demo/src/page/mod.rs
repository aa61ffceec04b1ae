//! The demo's web page: a user sends requests from a browser, through the eavesdropper and the relay, and
//! sees the result. Its sources are in `clients/js/demo`; the script among them is built, and kept in the
//! repository, so that building the demo takes no Node.
//!
//! | route | what it is |
//! | --- | --- |
//! | `GET /`, `/style.css`, `/app.js` | the page |
//! | `GET /setup` | where the relay is |
//! | `GET /watch` | server-sent events: what passes the eavesdropper, and what the upstream sees |
//! | `POST /order?do=NAME` | what the eavesdropper does to the next message; `none` cancels it |

mod news;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc},
};

use crate::{
    demo::{self, Demo},
    events::Events,
    tamper::Order,
    tap::Tap,
};

const PAGE: &str = include_str!("../../../../clients/js/demo/index.html");
const STYLE: &str = include_str!("../../../../clients/js/demo/style.css");
const SCRIPT: &str = include_str!("../../../../clients/js/demo/built/app.js");

/// News that a browser has not read yet; beyond it, it misses some.
const BACKLOG: usize = 4096;

/// What the page's server knows.
struct PageState {
    tap: Arc<Tap>,
    page: SocketAddr,
    news: broadcast::Sender<Bytes>,
}

/// Serves the page until the runtime ends; gives its address.
pub(crate) fn serve(demo: &Demo) -> io::Result<SocketAddr> {
    let listener = demo.page.try_clone()?;
    listener.set_nonblocking(true)?;
    let page = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    let (news, _) = broadcast::channel(BACKLOG);
    let (wire, on_the_wire) = mpsc::unbounded_channel();
    let (upstream, at_the_upstream) = mpsc::unbounded_channel();
    demo.tap.watch(wire);
    demo.shop.watch(upstream);
    tokio::spawn(news::gather(on_the_wire, at_the_upstream, news.clone()));
    let state = Arc::new(PageState { tap: Arc::clone(&demo.tap), page, news });
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let state = Arc::clone(&state);
            let service = service_fn(move |request| {
                let answer = answer(&state, &request);
                async { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(async move {
                // A browser may leave at any time.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(page)
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn answer(state: &PageState, request: &Request<Incoming>) -> Answer {
    // A foreign name that resolves to this address must not make its page one of this origin.
    let port = state.page.port();
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| own.iter().any(|own| own == host)) {
        return whole(StatusCode::MISDIRECTED_REQUEST, "text/plain", "no such host\n");
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => {
            let mut answer = whole(StatusCode::OK, "text/html; charset=utf-8", PAGE);
            let policy = format!(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'; connect-src 'self' {}",
                relay(state)
            );
            if let Ok(policy) = HeaderValue::from_str(&policy) {
                answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            }
            answer
        }
        (&Method::GET, "/style.css") => whole(StatusCode::OK, "text/css; charset=utf-8", STYLE),
        (&Method::GET, "/app.js") => whole(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
        (&Method::GET, "/setup") => {
            let setup = json!({"relay": relay(state), "version": env!("CARGO_PKG_VERSION")}).to_string();
            whole(StatusCode::OK, "application/json", setup)
        }
        (&Method::GET, "/watch") => watch(state),
        (&Method::POST, "/order") => order(state, request.uri().query().unwrap_or_default()),
        _ => whole(StatusCode::NOT_FOUND, "text/plain", "there is nothing here\n"),
    }
}

/// Where the page's requests go: past the eavesdropper.
fn relay(state: &PageState) -> String {
    format!("http://{}:{}", demo::PAGE, state.tap.address.port())
}

fn order(state: &PageState, query: &str) -> Answer {
    let name = query.strip_prefix("do=").unwrap_or_default();
    let named = Order::NAMED.iter().find(|(own, _)| *own == name).map(|(_, order)| *order);
    if named.is_none() && name != "none" {
        return whole(StatusCode::BAD_REQUEST, "text/plain", "there is no such order\n");
    }
    state.tap.interfere(named);
    whole(StatusCode::NO_CONTENT, "text/plain", "")
}

fn watch(state: &PageState) -> Answer {
    let (sender, receiver) = mpsc::channel(16);
    let mut news = state.news.subscribe();
    tokio::spawn(async move {
        // At once, so that the page knows that it misses nothing from now on.
        let mut next = Bytes::from_static(b": from here on\n\n");
        while sender.send(next).await.is_ok() {
            next = loop {
                match news.recv().await {
                    Ok(one) => break one,
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            };
        }
    });
    let mut answer = Response::new(Events(receiver).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn whole(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
