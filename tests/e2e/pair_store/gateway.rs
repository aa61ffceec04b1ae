//! A relay whose store fails: clients get 503 and keep their pairs, and operators see the reason.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::Request;
use mte_client::{KemId, Resend, wire::Offer};
use mte_relay::{
    gateway::error::Failure,
    pairs::{CreateError, MemoryStore, PairError, Unavailable},
};
use mte_session::server::RequestError;

use super::stores::{Fault, FaultyStore, REASON};
use crate::harness::{HOST, Relay, Session, Setup, Upstream, Wire, eventually, free_port, pairing, run};

struct Site {
    relay: Relay,
    upstream: Upstream,
    store: Arc<FaultyStore>,
    admin: SocketAddr,
}

impl Site {
    async fn new() -> Self {
        let (upstream, admin) = (Upstream::standard().await, SocketAddr::from(([127, 0, 0, 1], free_port())));
        let setup = Setup::default().top(&format!("admin: {{address: '{admin}'}}")).tenant(
            HOST,
            &upstream.url(),
            "pass_through_routes: [/plain]",
        );
        let config = setup.config(free_port());
        let limits = config.pairs;
        let mut faulty = None;
        let relay = mte_relay::relay::Relay::with_store(config, |outside| {
            let store = Arc::new(FaultyStore::over(Arc::new(MemoryStore::new(limits, outside))));
            faulty = Some(store.clone());
            store
        });
        let relay = Relay::run(relay).await;
        eventually("the admin listener is there", || std::net::TcpStream::connect(admin).is_ok()).await;
        Self { relay, upstream, store: faulty.expect("a store was made"), admin }
    }

    async fn admin(&self, path: &str) -> (u16, String) {
        let mut wire = Wire::connect(self.admin).await;
        wire.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        let answer = wire.response(false).await.unwrap();
        (answer.status(), String::from_utf8(answer.body).unwrap())
    }

    /// Waits for a line of `/metrics`.
    async fn until_metric(&self, line: &str) -> String {
        loop {
            let (_, text) = self.admin("/metrics").await;
            if text.lines().any(|other| other == line) {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

#[test]
fn an_unavailable_store_is_503_and_one_that_does_not_reply_563_which_names_the_pair_and_nothing_reaches_the_upstream()
 {
    run(async {
        let site = Site::new().await;
        let session = Session::new(&site.relay).await;
        for (fault, status) in [(Fault::Unreachable, 503), (Fault::ReadOnly, 503), (Fault::RepliesLost, 563)]
        {
            site.store.set(Some(fault));
            let sealed = session.seal(Request::post("/").body(Bytes::from_static(b"body")).unwrap());
            let mut wire = site.relay.wire().await;
            wire.send(session.bytes(&sealed)).await;
            let answer = wire.response(false).await.unwrap();
            assert_eq!(
                (answer.status(), answer.json()["status"].as_u64()),
                (status, Some(status.into())),
                "{fault:?}"
            );
            // Whether numbers are spent is not known of 563: there is nothing to wait for.
            assert_eq!(answer.header("retry-after"), (status == 503).then_some("5"), "{fault:?}");
            // Public v4 clients take an error without a pair id for lost state.
            let named = answer.header("x-mte-relay").unwrap();
            let pair_id = named.split(',').nth(1).unwrap();
            assert_eq!(pair_id, session.pair.id(), "{named}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("192.0.2.7"), "why is for operators");
        }
        assert_eq!(site.upstream.begun(), 0);
        site.store.set(None);
        let sealed = session.seal(Request::get("/").body(Bytes::new()).unwrap());
        let mut wire = site.relay.wire().await;
        wire.send(session.bytes(&sealed)).await;
        assert_eq!(wire.response(false).await.unwrap().status(), 200, "the pair is as good as before");
    });
}

#[test]
fn the_client_library_keeps_its_pairs_while_the_store_is_unavailable() {
    run(async {
        let site = Site::new().await;
        let client = site.relay.builder(HOST).resend(Resend::Always).build().unwrap();
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        site.store.set(Some(Fault::Unreachable));
        assert_eq!(client.get("/").await.unwrap_err().relay_status(), Some(503));
        site.store.set(None);
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        assert_eq!(site.relay.shared.pairs.counts().created, 1, "it has not paired again");
    });
}

#[test]
fn pairing_is_503_while_the_store_is_unavailable_and_routes_without_pairs_are_served() {
    run(async {
        let site = Site::new().await;
        site.store.set(Some(Fault::Unreachable));
        let offer = Offer::new(1, KemId::MlKem512);
        let answer = site.relay.ask(&pairing(HOST, "", &offer)).await;
        assert_eq!((answer.status(), answer.header("retry-after")), (503, Some("5")));
        let plain = site.relay.ask(&format!("GET /plain HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
        assert_eq!(plain.status(), 200);
        let (_, text) = site.admin("/metrics").await;
        let refused =
            format!("mte_relay_pairing_refused_total{{cause=\"store_unavailable\",tenant=\"{HOST}\"}} 1");
        assert!(text.contains(&refused), "{text}");
    });
}

#[test]
fn readiness_and_metrics_follow_the_store() {
    run(async {
        let site = Site::new().await;
        site.until_metric("mte_relay_pair_store_available 1").await;
        assert_eq!(site.admin("/readyz").await.0, 200);
        site.store.set(Some(Fault::Unreachable));
        let text = site.until_metric("mte_relay_pair_store_available 0").await;
        assert!(!text.contains("mte_relay_pair_store_failures_total 0"), "{text}");
        let (status, why) = site.admin("/readyz").await;
        assert_eq!(status, 503);
        assert!(why.contains("the pair store is unavailable") && why.contains(REASON), "{why}");
        site.store.set(None);
        site.until_metric("mte_relay_pair_store_available 1").await;
        assert_eq!(site.admin("/readyz").await.0, 200);
    });
}

#[test]
fn an_unavailable_store_is_an_error_in_the_log_with_its_reason_and_no_client_is_charged() {
    let unavailable = Unavailable::because(REASON);
    for failure in [
        Failure::from(RequestError::from(PairError::Unavailable(unavailable.clone()))),
        Failure::from(CreateError::Unavailable(unavailable)),
    ] {
        assert_eq!((failure.status(), failure.cause()), (503, "store_unavailable"));
        assert_eq!(failure.level(), log::Level::Error);
        assert!(failure.to_string().contains(REASON) && !failure.client_text().contains(REASON));
        assert!(!failure.is_suspicious() && !failure.is_codec());
    }
    let unknown = Failure::from(RequestError::from(PairError::Unknown(Unavailable::because(REASON))));
    assert_eq!(
        (unknown.status(), unknown.cause(), unknown.level()),
        (563, "state_not_read", log::Level::Error)
    );
    assert!(unknown.to_string().contains(REASON) && !unknown.client_text().contains(REASON));
    assert!(!unknown.is_suspicious());
}
