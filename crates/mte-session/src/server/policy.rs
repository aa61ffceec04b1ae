//! What a tenant requires of encrypted requests beyond the protocol.

/// What a tenant requires, and one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Lets requests through whose URL and headers are in the clear.
    pub allow_plain_requests: bool,
    /// Which requests must have sealed headers.
    pub require_sealed_headers: RequireSealedHeaders,
    /// Refuses requests without `:method` and `:authority`.
    pub require_binding: bool,
    /// The most names that a sealed header map may have.
    pub max_header_names: usize,
}

/// Which requests must have sealed headers. Where the URL's message does not say how many follow, nothing shows that a
/// header map was dropped on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequireSealedHeaders {
    /// Every one.
    Always,
    /// Those whose sender could not count its messages.
    Uncounted,
    /// None.
    Never,
}

impl RequireSealedHeaders {
    /// Whether a request must have them; `uncounted`: its URL does not say how many messages follow.
    pub(super) fn demands(self, uncounted: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Uncounted => uncounted,
            Self::Never => false,
        }
    }
}

impl From<Option<bool>> for RequireSealedHeaders {
    fn from(written: Option<bool>) -> Self {
        written.map_or(Self::Uncounted, |always| if always { Self::Always } else { Self::Never })
    }
}
