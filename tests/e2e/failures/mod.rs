//! Upstreams and clients that misbehave, and limits. After each of them, the relay serves the next good request, and no
//! resources are leaked.

mod bodies;
mod clients;
mod limits;
mod pairs;
mod upstreams;

use crate::harness::{Relay, Setup, Upstream, eventually};

/// A relay between an upstream that misbehaves, as `HOST`, and a good one.
struct Trial {
    relay: Relay,
    bad: Upstream,
    good: Upstream,
}

const GOOD: &str = "good.test";

impl Trial {
    /// `top` are lines of the configuration.
    async fn new(bad: Upstream, top: &str) -> Self {
        Self::with(bad, top, "").await
    }

    /// `tenant` are lines of the misbehaving tenant.
    async fn with(bad: Upstream, top: &str, tenant: &str) -> Self {
        let good = Upstream::standard().await;
        let relay = Setup::default()
            .top(top)
            .tenant(crate::harness::HOST, &bad.url(), tenant)
            .tenant(GOOD, &good.url(), "")
            .start()
            .await;
        Self { relay, bad, good }
    }

    /// Sends a good request, and waits until all resources are released: requests, pool instances, client connections, and
    /// connections to the misbehaving upstream. The test's own clients must be closed.
    async fn recovers(&self) {
        let before = self.good.begun();
        let client = self.relay.builder(GOOD).build().unwrap();
        let response = client.post("/good", vec![b'x'; 100_000]).await.unwrap();
        assert_eq!(response.into_body().text(100).await.unwrap(), "POST /good 100000");
        assert_eq!(self.good.begun(), before + 1);
        drop(client);
        self.relay.deserted().await;
        eventually("the bad upstream has no connection", || self.bad.open() == 0).await;
    }
}
