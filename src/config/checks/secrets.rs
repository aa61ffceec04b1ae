//! Secrets: taken unchanged from the file, the environment or a separate file; suspicious ones get a warning.

use std::{path::Path, sync::Arc};

use zeroize::Zeroizing;

use super::{
    super::{
        problems::Findings,
        secret::{self, Secret},
        settings::{AdminSettings, TenantSettings},
    },
    tenant::At,
};
use crate::{
    domains::Secrets,
    state_key::{StateKey, StateKeys},
};

/// A secret shorter than this gets a warning.
pub(super) const GOOD_LEN: usize = 32;

/// Minimum length of a token in characters: a shorter one could be guessed.
pub(super) const MIN_TOKEN: usize = 16;

/// Warns about a suspicious secret.
pub(super) fn look_at(secret: &[u8], place: &str, problems: &mut Findings) {
    if secret::is_placeholder(secret) {
        problems
            .warn(place, "looks like a placeholder: use a random secret (`mte-relay keygen` generates one)");
    }
    if secret.first().is_some_and(u8::is_ascii_whitespace)
        || secret.last().is_some_and(u8::is_ascii_whitespace)
    {
        problems.warn(place, "begins or ends with a space or line break, which is part of the secret");
    }
}

/// The admin listener's token.
pub(super) fn admin_token(written: &AdminSettings, base: &Path, problems: &mut Findings) -> Option<Secret> {
    const PLACE: &str = "admin.token";
    let token = match (&written.token, &written.token_file) {
        (Some(_), Some(_)) => {
            problems.add(PLACE, "give either token or token_file, not both");
            None
        }
        (Some(token), None) => Some(token.clone()),
        (None, Some(file)) => token_of_file(problems, &base.join(file)),
        (None, None) => None,
    }?;
    let length = token.reveal().chars().count();
    if length < MIN_TOKEN {
        problems.add(
            PLACE,
            format!("has {length} characters and needs at least {MIN_TOKEN}: `mte-relay keygen` generates one (admin.token)"),
        );
    }
    look_at(token.reveal().as_bytes(), PLACE, problems);
    Some(token)
}

fn token_of_file(problems: &mut Findings, path: &Path) -> Option<Secret> {
    let bytes = problems.read("admin.token_file", path)?;
    match std::str::from_utf8(secret::of_file(&bytes)) {
        Ok(text) => Some(text.to_owned().into()),
        Err(_) => {
            problems.add("admin.token_file", format!("{}: is not UTF-8 text", path.display()));
            None
        }
    }
}

/// A secret that is given as it is, or in a file; `place` ends with its key.
pub(super) fn given(
    problems: &mut Findings,
    base: &Path,
    place: &str,
    text: Option<&Secret>,
    file: Option<&Path>,
) -> Option<Zeroizing<Vec<u8>>> {
    match (text, file) {
        (Some(_), Some(_)) => {
            let key = place.rsplit('.').next().unwrap_or(place);
            problems.add(place, format!("give either {key} or {key}_file, not both"));
            None
        }
        (Some(text), None) => Some(Zeroizing::new(text.reveal().as_bytes().to_vec())),
        (None, Some(file)) => {
            let bytes = problems.read(&format!("{place}_file"), &base.join(file))?;
            Some(Zeroizing::new(secret::of_file(&bytes).to_vec()))
        }
        (None, None) => None,
    }
}

/// A tenant's secrets as they are given: the one in use, and the one before it.
pub(super) struct ClientIdSecrets {
    current: Zeroizing<Vec<u8>>,
    previous: Option<Zeroizing<Vec<u8>>>,
}

impl ClientIdSecrets {
    /// The keys that sign client ids. Neither secret is empty: [`At::secret`] has checked that.
    pub(super) fn signing(&self) -> Option<Secrets> {
        let key = |secret: &Zeroizing<Vec<u8>>| mte_protocol::client_id::ClientIdSecret::new(secret).ok();
        Some(Secrets { current: key(&self.current)?, previous: self.previous.as_ref().and_then(key) })
    }
}

impl At<'_> {
    /// The secrets of client ids; a random one if the tenant has none.
    pub(super) fn client_id_secrets(&mut self, written: &TenantSettings) -> Option<ClientIdSecrets> {
        let given = written.client_id_secret.is_some() || written.client_id_secret_file.is_some();
        let current = self.secret(
            "client_id_secret",
            written.client_id_secret.as_ref(),
            written.client_id_secret_file.as_deref(),
        );
        let previous = self.secret(
            "client_id_secret_previous",
            written.client_id_secret_previous.as_ref(),
            written.client_id_secret_previous_file.as_deref(),
        );
        let current = match current {
            Some(secret) => secret,
            None if given => return None,
            None if self.redis.is_some() => {
                self.problem(
                    "client_id_secret",
                    "is missing, and relays that share pairs in Redis must share it: set the same for each relay",
                );
                return None;
            }
            None => {
                self.warn(
                    "client_id_secret",
                    "is missing: a random one is used, and clients pair again after a restart",
                );
                self.reload_state.random_secret(self.host)
            }
        };
        Some(ClientIdSecrets { current, previous })
    }

    /// What seals the tenant's pairs where they leave this process: the relay's key, or one from the tenant's own secret.
    pub(super) fn state_keys(&mut self, secrets: &ClientIdSecrets) -> Option<Arc<StateKeys>> {
        let redis = self.redis?;
        if redis.keys.is_some() {
            return redis.keys.clone();
        }
        if secrets.current.len() < GOOD_LEN {
            self.problem(
                "client_id_secret",
                format!(
                    "is shorter than {GOOD_LEN} characters and seals this tenant's pairs in Redis: a shorter one can be guessed \
                     from client ids. Use a longer one, or set state_key_file"
                ),
            );
            return None;
        }
        let previous = secrets.previous.as_ref().filter(|secret| secret.len() >= GOOD_LEN);
        let previous = previous.and_then(|secret| StateKey::derive(secret).ok());
        Some(Arc::new(StateKeys { current: StateKey::derive(&secrets.current).ok()?, previous }))
    }

    pub(super) fn secret(
        &mut self,
        key: &str,
        text: Option<&Secret>,
        file: Option<&Path>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let place = self.place(key);
        let secret = given(self.problems, self.base, &place, text, file)?;
        if secret.is_empty() {
            self.problem(key, "is empty");
            return None;
        }
        if secret.len() < GOOD_LEN {
            self.problems.warn(&*place, format!("is shorter than {GOOD_LEN} characters: use a longer one"));
        }
        look_at(&secret, &place, self.problems);
        Some(secret)
    }
}
