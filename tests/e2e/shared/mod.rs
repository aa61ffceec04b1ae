//! Several relays that share their pairs in a Redis server.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `numbers` | one client over several relays: every number once, one round trip a request |
//! | `eras` | primaries that are promoted, demoted, restarted: nothing is accepted twice |
//! | `away` | a server that does not reply, or refuses |
//! | `cluster` | the servers of a Redis Cluster |
//! | `crashes` | relays that are killed or paused |
//! | `secure` | TLS, a private certificate authority, a user with few permissions |
//! | `settings` | what is asked of the configuration and of the server |

mod away;
mod cluster;
mod crashes;
mod eras;
mod numbers;
mod secure;
mod settings;

use bytes::Bytes;
use http::Request;

use crate::harness::{HOST, RedisServer, Relay, Session, Setup, Upstream};

/// Relays over one Redis server, in front of one upstream.
struct Site {
    redis: RedisServer,
    upstream: Upstream,
    relays: Vec<Relay>,
}

impl Site {
    async fn new(relays: usize) -> Self {
        Self::over(RedisServer::start(&[]), relays).await
    }

    async fn over(redis: RedisServer, count: usize) -> Self {
        let upstream = Upstream::standard().await;
        let mut relays = Vec::new();
        for _ in 0..count {
            relays.push(relay(&redis.url(), &upstream).await);
        }
        Self { redis, upstream, relays }
    }
}

/// A relay whose pairs are at `url`. It waits longer than usual for replies, as tests share their machine.
async fn relay(url: &str, upstream: &Upstream) -> Relay {
    let setup = Setup::default().top(&format!("redis_timeout: 3s\nredis_url: {url}"));
    setup.tenant(HOST, &upstream.url(), "").start().await
}

/// A request as it goes over the wire.
fn sealed(session: &Session) -> Vec<u8> {
    session.bytes(&session.seal(Request::post("/").body(Bytes::from_static(b"body")).unwrap()))
}

/// Sends a request on a connection of its own: the status.
async fn send(relay: &Relay, request: &[u8]) -> u16 {
    let mut wire = relay.wire().await;
    wire.send(request).await;
    wire.response(false).await.expect("an answer").status()
}
