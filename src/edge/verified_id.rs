//! The client id that verified last on a connection.
//!
//! A client sends the same signed id with every request. Verifying it costs an HMAC each time; comparing it with the one
//! that has verified on the same connection, for the same tenant's configuration, proves as much.

use std::sync::{Arc, Weak};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use mte_protocol::client_id::ClientId;
use parking_lot::Mutex;

use crate::domains::Tenant;

/// What verified last. A proxy in front may send the requests of many clients over one connection: then each replaces the
/// one before.
#[derive(Default)]
pub struct VerifiedId(Mutex<Option<Verified>>);

struct Verified {
    /// The tenant as it was configured then: after a reload ids are verified again. It is not kept alive.
    tenant: Weak<Tenant>,
    /// The signed id as it was sent.
    sent: String,
    id: ClientId,
    /// The signed form to answer with.
    signed: String,
}

impl VerifiedId {
    /// The client of a signed id, and the form to answer with, as [`Secrets::verify`](crate::domains::Secrets::verify).
    pub fn verify(&self, tenant: &Arc<Tenant>, sent: &str) -> Option<(ClientId, String)> {
        let mut last = self.0.lock();
        if let Some(known) = last.as_ref()
            && std::ptr::eq(known.tenant.as_ptr(), Arc::as_ptr(tenant))
            && verify_slices_are_equal(known.sent.as_bytes(), sent.as_bytes()).is_ok()
        {
            return Some((known.id, known.signed.clone()));
        }
        let (id, signed) = tenant.secrets.verify(sent)?;
        let tenant = Arc::downgrade(tenant);
        *last = Some(Verified { tenant, sent: sent.to_owned(), id, signed: signed.clone() });
        Some((id, signed))
    }
}

/// Shows no part of an id.
impl std::fmt::Debug for VerifiedId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedId").finish_non_exhaustive()
    }
}
