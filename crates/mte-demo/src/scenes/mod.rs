//! The scenes, and the stage they are played on. Every scene shows what happened and checks it; a scene that fails
//! does not keep the next one from being played.

mod attacks;
mod exchanges;
mod streams;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use mte_client::{EncodeType, RelayClient, Resend};

use crate::{
    DemoError,
    demo::{BANK, Demo, SHOP},
    pages::Digested,
    recording::Recording,
    show::{Screen, Who, grouped},
    upstream::{Received, Upstream},
    view,
};

/// No scene takes longer, however slow the machine.
const LIMIT: Duration = Duration::from_secs(60);
/// The answers that are gathered are small.
const MAX_ANSWER: usize = 1 << 20;

/// Where the scenes are played.
pub(crate) struct Stage {
    pub(crate) screen: Screen,
    pub(crate) demo: Demo,
    shop: RelayClient,
    bank: RelayClient,
    /// The scene that is played, from 1.
    scene: usize,
    /// What was checked in it, and is not shown yet.
    checks: Vec<(String, bool)>,
    held: usize,
    /// Scene and check of what did not hold.
    failed: Vec<String>,
    /// A request as the eavesdropper recorded it, for later.
    kept: Option<Vec<u8>>,
}

/// One of the two tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenant {
    Shop,
    Bank,
}

impl Stage {
    pub(crate) fn new(screen: Screen, demo: Demo) -> Result<Self, DemoError> {
        let client = |host: &str| {
            let builder = RelayClient::builder(format!("http://{host}"));
            // Repeated requests would hide what the scenes are about.
            builder.connect_to(demo.tap.address).pairs(1).resend(Resend::Never)
        };
        let shop = client(SHOP).build()?;
        let bank = client(BANK).encode_type(EncodeType::Mte).build()?;
        Ok(Self {
            screen,
            demo,
            shop,
            bank,
            scene: 0,
            checks: Vec::new(),
            held: 0,
            failed: Vec::new(),
            kept: None,
        })
    }

    /// Plays all scenes.
    pub(crate) async fn play(&mut self) {
        self.scene("Pairing: public keys one way, ciphertexts back", "both tenants", exchanges::pairing)
            .await;
        self.scene("A GET whose path, query and token are secret", "shop, MKE", exchanges::get).await;
        self.scene("A POST of JSON", "shop, MKE", exchanges::post).await;
        self.scene("A short secret, twice", "bank, MTE", exchanges::short_secret).await;
        self.scene("A large upload, streamed", "shop, MKE", streams::upload).await;
        self.scene("A large download, streamed", "shop, MKE", streams::download).await;
        self.scene("Server-sent events keep their rhythm", "shop, MKE", streams::events).await;
        self.scene("A pass-through route, for comparison", "shop, in the clear", exchanges::pass_through)
            .await;
        self.scene("What an attacker on the path can try", "shop and bank", attacks::attacks).await;
    }

    async fn scene<F>(&mut self, title: &str, remark: &str, play: F)
    where
        F: AsyncFnOnce(&mut Self) -> Result<(), DemoError>,
    {
        self.scene += 1;
        self.screen.title(self.scene, title, remark);
        for upstream in [&self.demo.shop, &self.demo.bank] {
            upstream.take_received();
            upstream.take_answered();
        }
        let trouble = match tokio::time::timeout(LIMIT, play(self)).await {
            Ok(outcome) => outcome.err(),
            Err(_) => Some(format!("it took longer than {} s", LIMIT.as_secs()).into()),
        };
        if let Some(trouble) = trouble {
            self.check(trouble.to_string(), false);
        }
        let checks = std::mem::take(&mut self.checks);
        self.screen.checks(&checks);
        for (what, held) in checks {
            self.count(what, held);
        }
    }

    /// Notes what should hold, and whether it does, for the end of the scene.
    fn check(&mut self, what: impl Into<String>, held: bool) {
        self.checks.push((what.into(), held));
    }

    /// Counts a check that the scene has shown by itself.
    fn count(&mut self, what: impl Into<String>, held: bool) {
        match held {
            true => self.held += 1,
            false => self.failed.push(format!("scene {}: {}", self.scene, what.into())),
        }
    }

    /// How many checks held, and which did not.
    pub(crate) fn outcome(&self) -> (usize, &[String]) {
        (self.held, &self.failed)
    }

    fn client(&self, tenant: Tenant) -> &RelayClient {
        match tenant {
            Tenant::Shop => &self.shop,
            Tenant::Bank => &self.bank,
        }
    }

    fn upstream(&self, tenant: Tenant) -> &Upstream {
        match tenant {
            Tenant::Shop => &self.demo.shop,
            Tenant::Bank => &self.demo.bank,
        }
    }

    /// Sends a request, shows the three views of it, and compares them.
    async fn exchange(
        &mut self,
        tenant: Tenant,
        request: Request<Bytes>,
        secrets: &[&str],
    ) -> Result<Recording, DemoError> {
        self.demo.tap.look_for(secrets);
        let (parts, body) = request.into_parts();
        let sent = Digested::of(&body);
        let response = self.client(tenant).send(Request::from_parts(parts.clone(), body.into())).await?;
        let (head, body) = response.into_parts();
        let answer = Digested::of(&body.bytes(MAX_ANSWER).await?);
        let recording = self.demo.tap.take();
        let received = self.upstream(tenant).take_received();
        let answered = self.upstream(tenant).take_answered();

        let mut lines = view::sent(&parts, &sent);
        lines.extend(view::answered(head.status, &head.headers, &answer));
        self.screen.block(Who::Client, &lines);
        self.screen.block(Who::Wire, &view::seen(&recording));
        let lines: Vec<String> =
            received.iter().flat_map(|one| view::received(one, &parts.headers)).collect();
        self.screen.block(Who::Upstream, &lines);

        self.check_secrets(&recording);
        let same = |one: &Received| {
            one.method == parts.method
                && Some(one.target.as_str())
                    == parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str)
                && parts.headers.iter().all(|(name, value)| one.headers.get(name) == Some(value))
                && !one.headers.keys().any(|name| name.as_str().starts_with("x-mte-"))
                && one.body == sent
        };
        let once = matches!(received.as_slice(), [one] if same(one));
        self.check("the upstream got the request to the byte", once);
        self.check("the client got the answer to the byte", answered == [answer]);
        Ok(recording)
    }

    /// Checks that no secret that was looked for passed the eavesdropper.
    fn check_secrets(&mut self, recording: &Recording) {
        let found = recording.found();
        let all = grouped(recording.total());
        let what = match (found.as_slice(), recording.looked_for()) {
            ([], 1) => format!("the secret is not among {all} bytes on the wire"),
            ([], count) => format!("none of {count} secrets among {all} bytes on the wire"),
            (found, _) => format!("on the wire, for all to read: {}", found.join(", ")),
        };
        self.check(what, found.is_empty());
    }
}
