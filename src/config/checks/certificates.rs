//! A tenant's certificate: checks that certificate and key match, and warns about problems that clients would have.

use std::time::SystemTime;

use super::{
    super::{reload_state, settings::TlsSettings},
    tenant::At,
};
use crate::{domains::HostPattern, tls::TenantTls};

impl At<'_> {
    /// TLS for connections from the tenant's clients.
    pub(super) fn tls(&mut self, files: &TlsSettings) -> Option<TenantTls> {
        if matches!(self.host.parse(), Ok(HostPattern::Exact(host)) if host.contains(':') && !host.ends_with(']'))
        {
            self.warn("tls", "has no effect: TLS clients send a host name without a port");
        }
        let mut well = true;
        for (key, file) in
            [("tls.certificate_file", &files.certificate_file), ("tls.key_file", &files.key_file)]
        {
            if file.as_os_str().is_empty() {
                self.problem(key, "is missing: give a PEM file");
                well = false;
            }
        }
        if !well {
            return None;
        }
        let chain = self.read("tls.certificate_file", &files.certificate_file);
        let key = self.read("tls.key_file", &files.key_file);
        let client_ca = match &files.client_ca_file {
            None => None,
            Some(file) => Some(self.read("tls.client_ca_file", file)?),
        };
        let (chain, key) = (chain?, key?);
        let client_ca = client_ca.as_ref().map(|pem| pem.as_slice());
        // An empty file is a problem: without any authority, no client certificate would be required.
        let asks = [u8::from(client_ca.is_some())];
        let files = reload_state::digest(&[&chain, &key, &asks, client_ca.unwrap_or_default()]);
        match self.reload_state.tls(self.host, files, || TenantTls::new(&chain, &key, client_ca)) {
            Ok(tls) => {
                self.look_at_certificate(&tls);
                Some(tls)
            }
            Err(error) => {
                self.problem(&format!("tls.{}", error.setting()), error.to_string());
                None
            }
        }
    }

    fn look_at_certificate(&mut self, tls: &TenantTls) {
        const KEY: &str = "tls.certificate_file";
        let certificate = &tls.certificate;
        if let Some(what) = certificate.describe(certificate.standing(SystemTime::now())) {
            self.warn(KEY, what);
        }
        let name = match self.host.parse() {
            Ok(HostPattern::Exact(host)) => host.split(':').next().unwrap_or_default().to_owned(),
            // A label like any other.
            Ok(HostPattern::Wildcard(suffix)) => format!("any{suffix}"),
            Ok(HostPattern::Default) | Err(_) => return,
        };
        // For an IP address, clients send no server name and check the address against the certificate.
        let is_address = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
        if !is_address && !certificate.fits(&name) {
            let what = format!("does not cover {}: clients refuse it for this host", self.host);
            self.warn(KEY, what);
        }
    }
}
