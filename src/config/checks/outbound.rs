//! A tenant's outbound mode (docs/protocol.md, section 7): its token, its peers, and the clients it uses.

use std::{net::SocketAddr, sync::Arc};

use mte_client::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{
    super::{Timeouts, settings::TenantSettings},
    numbers,
    secrets::MIN_TOKEN,
    tenant::At,
};
use crate::{
    domains::Secrets,
    outbound::{ClientOptions, Clients, Outbound, PatternError, PeerPattern, PeerRules, Token, Via},
    upstream::{UpstreamUrl, UrlError},
};

/// Clients of peers that a tenant keeps; each has some pairs, and connections while it is used.
const MAX_PEERS: usize = 100;
/// Pairs that a client may make at a time: what a relay accepts in one request by default.
const MAX_PAIRS: u64 = 100;

impl At<'_> {
    /// The outbound mode; `Some(None)` for a tenant without a token, `None` if a problem makes it unusable. `own` are the
    /// relay's listeners.
    pub(super) fn outbound(
        &mut self,
        written: &TenantSettings,
        secrets: Option<&Secrets>,
        timeouts: &Timeouts,
        own: &[SocketAddr],
    ) -> Option<Option<Outbound>> {
        let pair_count = self.place("outbound_pair_count");
        numbers::count(self.problems, &pair_count, written.outbound_pair_count as u64, 1..=MAX_PAIRS);
        let patterns = self.outbound_peers(&written.outbound_peers, own);
        let roots = self.outbound_roots(written);
        if written.outbound_token.is_none() && written.outbound_token_file.is_none() {
            for (key, set) in [
                ("outbound_peers", !written.outbound_peers.is_empty()),
                ("outbound_ca_file", written.outbound_ca_file.is_some()),
            ] {
                if set {
                    self.warn(key, "has no effect without outbound_token or outbound_token_file");
                }
            }
            return Some(None);
        }
        let token = self.outbound_token(written)?;
        let (patterns, roots, secrets) = (patterns?, roots?, secrets?);
        if patterns.is_empty() {
            self.warn(
                "outbound_peers",
                "is empty: whoever has the outbound token can make this relay connect to any https origin with a public address; list the peers",
            );
        }
        if written.client_id_secret.is_none() && written.client_id_secret_file.is_none() {
            self.warn(
                "client_id_secret",
                "is missing: replicas of this relay do not recognize each other's outbound requests, so a loop through them is not found",
            );
        }
        let via = Via::new(self.host, &secrets.current, secrets.previous.as_ref());
        let clients = self.outbound_clients(written, patterns, roots, timeouts, own);
        Some(Some(Outbound { token, via, clients }))
    }

    fn outbound_token(&mut self, written: &TenantSettings) -> Option<Token> {
        const KEY: &str = "outbound_token";
        let token =
            self.secret(KEY, written.outbound_token.as_ref(), written.outbound_token_file.as_deref())?;
        if token.len() < MIN_TOKEN {
            self.problem(
                KEY,
                format!(
                    "has {} characters and needs at least {MIN_TOKEN}: make a random one, as with `openssl rand -hex 32`",
                    token.len()
                ),
            );
            return None;
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            self.problem(
                KEY,
                "has a blank or a character that is not ASCII: no request can send it, use letters and digits",
            );
            return None;
        }
        Some(Token::new(&token))
    }

    fn outbound_peers(&mut self, written: &[String], own: &[SocketAddr]) -> Option<Vec<PeerPattern>> {
        let mut patterns = Vec::new();
        let mut well = true;
        for (index, text) in written.iter().enumerate() {
            let key = format!("outbound_peers[{index}]");
            let pattern = text.parse::<PeerPattern>();
            if let Ok(pattern) = &pattern {
                self.look_at_peer(&key, pattern);
            }
            match pattern {
                Ok(PeerPattern::Origin(origin)) if is_own(&origin, own) => {
                    self.problem(&key, format!("{text} is a listener of this relay: name another relay"));
                    well = false;
                }
                Ok(pattern) => patterns.push(pattern),
                // Credentials are not shown.
                Err(error @ PatternError::Origin(UrlError::User)) => {
                    self.problem(&key, error.to_string());
                    well = false;
                }
                Err(error) => {
                    self.problem(&key, format!("{text:?} {error}"));
                    well = false;
                }
            }
        }
        well.then_some(patterns)
    }

    /// Warns of an entry that allows more than it may seem to.
    fn look_at_peer(&mut self, key: &str, pattern: &PeerPattern) {
        match pattern {
            PeerPattern::Network(network) if network.prefix_len() == 0 => self.warn(
                key,
                format!("{network} admits every peer, private and loopback addresses included: list the networks of the peers"),
            ),
            PeerPattern::Origin(origin) | PeerPattern::Wildcard(origin) if !origin.tls => self.warn(
                key,
                "is http://: only the sealed parts of requests are protected, and an attacker on the way can take the peer's place when pairing; use https://",
            ),
            _ => {}
        }
    }

    fn outbound_roots(&mut self, written: &TenantSettings) -> Option<Vec<CertificateDer<'static>>> {
        const KEY: &str = "outbound_ca_file";
        let Some(file) = &written.outbound_ca_file else { return Some(Vec::new()) };
        let pem = self.read(KEY, file)?;
        match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
            Ok(roots) if roots.is_empty() => {
                self.problem(KEY, format!("{} holds no certificate in PEM", file.display()));
                None
            }
            Ok(roots) => Some(roots),
            Err(error) => {
                self.problem(KEY, format!("{} is not PEM: {error}", file.display()));
                None
            }
        }
    }

    /// The clients, with their pairs, of the configuration before, if nothing that concerns them has changed.
    fn outbound_clients(
        &self,
        written: &TenantSettings,
        patterns: Vec<PeerPattern>,
        roots: Vec<CertificateDer<'static>>,
        timeouts: &Timeouts,
        own: &[SocketAddr],
    ) -> Arc<Clients> {
        let options = ClientOptions {
            rules: Arc::new(PeerRules::new(patterns, own.to_vec())),
            pairs: written.outbound_pair_count,
            roots,
            connect: timeouts.connect,
            resolver: self.reload_state.resolver.clone(),
            capacity: MAX_PEERS,
        };
        self.reload_state.clients(self.host, options)
    }
}

/// Whether an origin is the address of one of the relay's listeners.
fn is_own(origin: &UpstreamUrl, own: &[SocketAddr]) -> bool {
    let address = format!("{}:{}", origin.host, origin.port).parse::<SocketAddr>();
    address.is_ok_and(|address| own.contains(&address))
}
