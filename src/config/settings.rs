//! The settings as they are written: the YAML file's shape, with every default in one place.
//!
//! Nothing here is checked beyond its type; [`super::Config`] is what came through the checks.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    read::words,
    secret::Secret,
    units::{HumanDuration, Size},
    upstream::UpstreamSettings,
};
use crate::upstream::Http2;

/// Defines a settings struct: every field has its default beside it, and unknown keys are refused.
macro_rules! settings {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$meta])*
        // Some are used outside of the crate, others are parts of those.
        #[allow(unreachable_pub)]
        #[derive(Debug, Clone, serde::Serialize)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $crate::config::read::FromNode for $name {
            fn from_node(
                node: &$crate::config::tree::Node,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                let mut settings = Self::default();
                for (key, node) in reader.fields(node, &[$(stringify!($field)),*])? {
                    // What cannot be read keeps its default; the problem is reported.
                    $(if key == stringify!($field) {
                        if let Some(value) = reader.field(&key, node) {
                            settings.$field = value;
                        }
                        continue;
                    })*
                }
                Some(settings)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

pub(super) use settings;

pub(super) const fn seconds(seconds: u64) -> HumanDuration {
    HumanDuration(std::time::Duration::from_secs(seconds))
}

settings! {
    /// The whole file.
    Settings {
        /// Where the relay listens. Default: `0.0.0.0:8080`, or the port of `PORT`.
        listeners: Vec<ListenerSettings> = Vec::new(),
        /// The operators' own listener: metrics, health, status page.
        admin: AdminSettings = AdminSettings::default(),
        /// Worker threads; 0 is one per core.
        threads: usize = 0,
        /// Where a successor takes the listeners over (SIGQUIT); its folder must be writable.
        upgrade_socket: Option<PathBuf> = None,
        /// What is logged and how.
        log: LogSettings = LogSettings::default(),
        /// Ready codec instances, at most 1000.
        pool_size: usize = 600,
        /// Limits on pairs.
        pairs: PairSettings = PairSettings::default(),
        /// Limits on requests.
        limits: LimitSettings = LimitSettings::default(),
        /// Time limits.
        timeouts: TimeoutSettings = TimeoutSettings::default(),
        /// Upstream names are resolved again after this time.
        dns_refresh: HumanDuration = seconds(30),
        /// How changes of the file reach a running relay.
        reload: ReloadSettings = ReloadSettings::default(),
        /// Networks of the proxies in front: their x-forwarded-for, x-forwarded-proto, x-request-id and PROXY headers
        /// are believed. Empty: no one's.
        trusted_proxies: Vec<String> = Vec::new(),
        /// The tenants: inbound host -> tenant.
        domain_map: BTreeMap<String, TenantSettings> = BTreeMap::new(),
    }
}

settings! {
    /// One listener.
    ListenerSettings {
        /// Address and port.
        address: String = String::new(),
        /// Whether it speaks TLS, with the tenants' certificates.
        tls: bool = false,
        /// Whether connections begin with a PROXY header (v1 or v2), which names the client's address.
        proxy_protocol: bool = false,
    }
}

settings! {
    /// The operators' own listener.
    AdminSettings {
        /// Address and port, or `none`. Never a tenant's listener.
        address: Option<String> = None,
        /// Names and addresses of the listener beside localhost and the address that a request came to: requests for others
        /// are refused.
        hosts: Vec<String> = Vec::new(),
        /// A Unix socket beside it (mode 0600): what comes over it needs no token.
        socket: Option<PathBuf> = None,
        /// What changes anything needs this token: `authorization: Bearer <token>`.
        token: Option<Secret> = None,
        /// A file that holds `token`.
        token_file: Option<PathBuf> = None,
    }
}

settings! {
    /// How changes of the file reach a running relay. SIGHUP always does.
    ReloadSettings {
        /// Watches the file and every file it names.
        watch: bool = true,
    }
}

settings! {
    /// Logging.
    LogSettings {
        /// trace, debug, info, warning, error, panic, off.
        level: String = "info".into(),
        /// json, pretty, or auto: pretty on a terminal, else json.
        format: String = "auto".into(),
        /// Lines that wait for a slow reader of the log; what does not fit is dropped and counted.
        buffer: Size = Size(8 << 20),
    }
}

settings! {
    /// Limits on pairs.
    PairSettings {
        /// A pair not used for this time is dropped.
        idle_timeout: HumanDuration = seconds(1_800),
        /// A pair that was made but never used is dropped after this time.
        unused_timeout: HumanDuration = seconds(600),
        /// A pair is renewed at this age (559).
        max_age: HumanDuration = seconds(86_400),
        /// Pairs of one client; beyond it, its own oldest go.
        max_per_client: usize = 200,
        /// Pairs in one pairing request.
        max_per_request: usize = 100,
        /// Pairs of one client network (/24, /56); beyond it, 429.
        max_per_network: usize = 100_000,
        /// Pairs in all. When full, what tenants have above their share goes first, then pairs never used, then pairing answers 503.
        max_total: usize = 1_000_000,
        /// The most of max_total that one tenant may keep while others want room.
        tenant_share: f64 = 0.5,
        /// Weaker KEMs are refused: ml-kem-512, ml-kem-768, ml-kem-1024, x-wing (which alone satisfies x-wing, and does not
        /// satisfy ml-kem-1024).
        min_kem: String = "ml-kem-512".into(),
    }
}

settings! {
    /// Limits on requests.
    LimitSettings {
        /// Bytes of all request header fields together; beyond it, 431.
        max_header_bytes: Size = Size(64 << 10),
        /// Names of header fields in a request's head, and in its sealed headers; beyond it, 431.
        header_names: usize = 200,
        /// Bytes of a request body as it arrives; 0 is unlimited. Beyond it, 413.
        max_body: Size = Size(0),
        /// Bytes of a body of encode type MTE, which is held in memory.
        max_mte_body: Size = Size(1 << 20),
        /// Bytes of pairing requests and of bodies of encode type MTE held in memory at once, in all; beyond it, 503. 0 is unlimited.
        gathered: Size = Size(256 << 20),
        /// Client connections in all, and as many requests in flight; beyond it, closed (503). 0 is unlimited.
        connections: usize = 20_000,
        /// The same for one client network (/24, /56), of requests for those over HTTP/2.
        connections_per_network: usize = 5_000,
        /// Pairs per second and client network (/24, /56; five times that per /48), burst of twice that; beyond it, 429. 0 is unlimited.
        pairs_per_second: u32 = 200,
        /// Requests per second and client id, burst of twice that; beyond it, 429. 0 is unlimited. Requests that do not
        /// decode count against their client network (/24, /56) instead, at the same rate.
        requests_per_second: u32 = 0,
    }
}

settings! {
    /// Time limits.
    TimeoutSettings {
        /// Connecting to an upstream, TLS handshake included.
        connect: HumanDuration = seconds(5),
        /// Waiting for more bytes, from clients and upstreams.
        read: HumanDuration = seconds(60),
        /// Waiting to send more bytes, to clients and upstreams.
        write: HumanDuration = seconds(60),
        /// An unused connection is kept open for this time.
        idle: HumanDuration = seconds(60),
        /// A TLS handshake, and then a request's header fields, may take this long in all.
        headers: HumanDuration = seconds(10),
        /// A body that is held in memory (pairing, type MTE, the first part of others) may take this long in all.
        body: HumanDuration = seconds(30),
        /// On SIGTERM, requests in flight may take this long.
        drain: HumanDuration = seconds(30),
    }
}

settings! {
    /// One tenant.
    TenantSettings {
        /// Where requests go: an origin (`https://host[:port]`), a list of them, or the long form.
        upstream: Option<UpstreamSettings> = None,
        /// The key that signs client ids.
        client_id_secret: Option<Secret> = None,
        /// A file that holds `client_id_secret`.
        client_id_secret_file: Option<PathBuf> = None,
        /// The secret before this one: ids it signed still verify.
        client_id_secret_previous: Option<Secret> = None,
        /// A file that holds `client_id_secret_previous`.
        client_id_secret_previous_file: Option<PathBuf> = None,
        /// Origins that may call from a browser.
        cors_origins: Vec<String> = Vec::new(),
        /// Methods that may be called; any other is 405.
        cors_methods: Vec<String> = super::checks::DEFAULT_METHODS.map(String::from).to_vec(),
        /// Whether browsers may send credentials. Default: yes, unless cors_origins has "*".
        cors_credentials: Option<bool> = None,
        /// Routes that are proxied as they are.
        pass_through_routes: Vec<String> = Vec::new(),
        /// If given, the only routes there are beside the pass-through ones.
        mte_routes: Vec<String> = Vec::new(),
        /// Header fields added to upstream requests and to responses.
        headers: BTreeMap<String, Secret> = BTreeMap::new(),
        /// Sends the client's Host to the upstream instead of the upstream's own.
        preserve_host: bool = false,
        /// Lets requests through whose URL and headers are both in the clear.
        allow_plain_requests: bool = false,
        /// Refuses requests without `:method` and `:authority` in the sealed headers.
        require_binding: bool = false,
        /// Refuses requests without sealed headers (true), or none of them (false). Default: those whose sender could not
        /// say how many messages it sends, so that dropped headers would go unnoticed.
        require_sealed_headers: Option<bool> = None,
        /// Requests with this token in `x-mte-outbound-token` go to the relay that they name (relay to relay).
        outbound_token: Option<Secret> = None,
        /// A file that holds `outbound_token`.
        outbound_token_file: Option<PathBuf> = None,
        /// The relays that such requests may go to: origins (`https://relay.example`, `https://*.example`) and networks.
        /// Empty: every https origin with public addresses.
        outbound_peers: Vec<String> = Vec::new(),
        /// How many pairs the relay makes at a time with each of them.
        outbound_pair_count: usize = 5,
        /// The authorities to trust for them instead of the public ones, as PEM.
        outbound_ca_file: Option<PathBuf> = None,
        /// How the upstream's certificate is checked.
        upstream_tls: UpstreamTlsSettings = UpstreamTlsSettings::default(),
        /// The tenant's certificate on TLS listeners.
        tls: Option<TlsSettings> = None,
        /// A stricter least KEM than the relay's.
        min_kem: Option<String> = None,
        /// More attempts after a connection could not be made.
        retries: usize = 1,
    }
}

settings! {
    /// TLS towards clients.
    TlsSettings {
        /// The certificate chain, as PEM, the tenant's own certificate first.
        certificate_file: PathBuf = PathBuf::new(),
        /// Its private key, as PEM.
        key_file: PathBuf = PathBuf::new(),
        /// Clients must show a certificate of one of these authorities.
        client_ca_file: Option<PathBuf> = None,
    }
}

settings! {
    /// TLS towards an upstream.
    UpstreamTlsSettings {
        /// Whether certificate and name are verified.
        verify: bool = true,
        /// The authority to trust instead of the system's, as PEM.
        ca_file: Option<PathBuf> = None,
        /// The name to ask for and verify instead of the upstream's host.
        sni: Option<String> = None,
        /// auto: HTTP/2 where the upstream offers it; always; never.
        http2: Http2 = Http2::Auto,
    }
}

words!(Http2 { "auto" => Self::Auto, "always" => Self::Always, "never" => Self::Never, });
