//! Upstreams: several peers of a tenant and how they are chosen, their health, HTTP/2, and the sharing of connections.

mod addresses;
mod balance;
mod blame;
mod health;
mod http2;
mod isolation;

use std::collections::BTreeMap;

use mte_client::{Error, RelayClient};

use crate::harness::{HOST, Relay, Setup, Upstream};

/// A relay with the tenant [`HOST`] with several peers.
struct Fleet {
    relay: Relay,
    peers: Vec<Upstream>,
}

impl Fleet {
    /// `settings` are those of `upstream`, besides its peers; a weight of 1 is left out.
    async fn new(peers: Vec<Upstream>, weights: &[u32], settings: &str) -> Self {
        let list: Vec<_> = peers
            .iter()
            .zip(weights)
            .map(|(peer, weight)| match weight {
                1 => format!("'{}'", peer.url()),
                _ => format!("{{url: '{}', weight: {weight}}}", peer.url()),
            })
            .collect();
        let upstream = format!("{{peers: [{}], {settings}}}", list.join(", "));
        let setup = Setup::default().top("timeouts: {connect: 1s, read: 2s}");
        let relay = setup.tenant(HOST, &upstream, "pass_through_routes: ['/open/*']").start().await;
        Self { relay, peers }
    }

    async fn standard(weights: &[u32], settings: &str) -> Self {
        let mut peers = Vec::new();
        for _ in weights {
            peers.push(Upstream::standard().await);
        }
        Self::new(peers, weights, settings).await
    }

    /// Number of complete requests that each peer received.
    fn counts(&self) -> Vec<usize> {
        self.peers.iter().map(|peer| peer.seen().len()).collect()
    }

    /// The state of the peers, by name.
    fn health(&self) -> Vec<&'static str> {
        let config = self.relay.shared.config.load();
        let tenant = config.domains.find(HOST).unwrap();
        tenant.upstream.peers.iter().map(|peer| peer.state.health().name()).collect()
    }

    /// Number of failed requests at peers, by cause.
    fn failures(&self) -> BTreeMap<String, u64> {
        const NAME: &str = "mte_relay_upstream_failures_total{";
        let text = self.relay.shared.metrics.text();
        let lines = text.lines().filter_map(|line| line.strip_prefix(NAME));
        let cause = |labels: &str| Some(labels.split_once("cause=\"")?.1.split_once('"')?.0.to_owned());
        lines
            .filter_map(|line| {
                let (labels, value) = line.rsplit_once(' ')?;
                Some((cause(labels)?, value.parse().ok()?))
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// A request's status, including the relay's own ones.
async fn status(client: &RelayClient, method: &str, path: &str) -> u16 {
    let body = if method == "GET" { mte_client::Body::empty() } else { "a body".into() };
    let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
    match read(client.send(request).await).await {
        Ok((status, _)) => status,
        Err(error) => error.relay_status().unwrap_or_else(|| panic!("{}", error.report())),
    }
}

/// A response read to its end.
async fn read(
    response: Result<http::Response<mte_client::Body>, Error>,
) -> Result<(u16, bytes::Bytes), Error> {
    let response = response?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().bytes(64 << 20).await?))
}
