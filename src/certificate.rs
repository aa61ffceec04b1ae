//! What a tenant's certificate says: when it is valid, and for which names. Nothing here decides
//! whether it is accepted; clients do that, and operators want to know before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Operators are warned this long before a certificate expires.
pub const SOON: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Facts about a certificate chain.
#[derive(Debug)]
pub struct CertificateFacts {
    own: Option<CertificateDer<'static>>,
    /// Start of the validity, in seconds since 1970: the latest in the chain.
    not_before: Option<i64>,
    /// End of the validity, in seconds since 1970: the earliest in the chain, because clients check the whole chain.
    pub not_after: Option<i64>,
}

/// The validity of a certificate at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Valid, and not expiring soon.
    Good,
    /// Not valid yet.
    NotYet,
    /// Valid for less than [`SOON`].
    Soon,
    /// No longer valid.
    Expired,
}

impl Standing {
    /// The name on the status page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::NotYet => "not_yet",
            Self::Soon => "soon",
            Self::Expired => "expired",
        }
    }
}

impl CertificateFacts {
    /// The facts about a chain, which begins with the tenant's own certificate.
    pub fn of(chain: &[CertificateDer<'static>]) -> Self {
        let validity = |der: &CertificateDer<'_>| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let validity = certificate.validity();
            Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
        };
        let validities: Vec<_> = chain.iter().filter_map(validity).collect();
        Self {
            own: chain.first().cloned(),
            not_before: validities.iter().map(|(from, _)| *from).max(),
            not_after: validities.iter().map(|(_, until)| *until).min(),
        }
    }

    /// Its validity at `now`.
    pub fn standing(&self, now: SystemTime) -> Standing {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        match (self.not_before, self.not_after) {
            (_, Some(until)) if until <= now => Standing::Expired,
            (Some(from), _) if from > now => Standing::NotYet,
            (_, Some(until)) if until - now < SOON.as_secs() as i64 => Standing::Soon,
            _ => Standing::Good,
        }
    }

    /// The warning for operators; nothing if the certificate is valid.
    pub fn describe(&self, standing: Standing) -> Option<String> {
        let text = |seconds: Option<i64>| {
            let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            time.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string())
        };
        Some(match standing {
            Standing::Good => return None,
            Standing::NotYet => {
                format!("is not valid before {}: clients refuse it until then", text(self.not_before))
            }
            Standing::Soon => format!("expires within 30 days, at {}: renew it", text(self.not_after)),
            Standing::Expired => {
                format!("expired at {}, and clients refuse it: renew it", text(self.not_after))
            }
        })
    }

    /// Whether clients that ask for this host accept it.
    pub fn fits(&self, host: &str) -> bool {
        let Some(own) = &self.own else { return false };
        let Ok(name) = ServerName::try_from(host) else { return false };
        ParsedCertificate::try_from(own).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(names: &[&str], from: i32, until: i32) -> CertificateFacts {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        CertificateFacts::of(&[params.self_signed(&key).unwrap().der().clone()])
    }

    #[test]
    fn a_certificate_is_good_until_thirty_days_before_its_end() {
        let facts = chain(&["a.test"], 2020, 2030);
        let end = UNIX_EPOCH + Duration::from_secs(facts.not_after.unwrap() as u64);
        let day = Duration::from_secs(24 * 3_600);
        assert_eq!(facts.standing(end - day * 31), Standing::Good);
        assert_eq!(facts.standing(end - day * 29), Standing::Soon);
        assert_eq!(facts.standing(end), Standing::Expired);
        assert_eq!(facts.standing(UNIX_EPOCH), Standing::NotYet);
        let said = facts.describe(Standing::Soon).unwrap();
        assert!(said.contains("2030-01-01T00:00:00Z"), "{said}");
    }

    #[test]
    fn a_certificate_fits_the_names_that_clients_accept_it_for() {
        let facts = chain(&["a.test", "*.b.test"], 2020, 2030);
        assert!(facts.fits("a.test") && facts.fits("x.b.test"));
        for other in ["b.test", "x.y.b.test", "a.test.evil", "not a host"] {
            assert!(!facts.fits(other), "{other}");
        }
    }
}
