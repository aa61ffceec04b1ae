//! The settings as written: the structure of the YAML file, with every default in one place.
//!
//! Only the types are checked here; [`super::Config`] is the checked configuration.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    read::words,
    secret::Secret,
    units::{HumanDuration, Size},
    upstream::UpstreamSettings,
};
use crate::upstream::Http2;

/// Defines a settings struct: every field is declared with its default, and unknown keys are refused.
macro_rules! settings {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$meta])*
        // Some are used outside of the crate, and the others are fields of those.
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
                    // A value that cannot be read keeps its default; the problem is reported.
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
        /// The admin listener, for operators: metrics, health, status page.
        admin: AdminSettings = AdminSettings::default(),
        /// Worker threads; 0 means one per core.
        threads: usize = 0,
        /// Unix socket over which a successor takes over the listeners (SIGQUIT); its folder must be writable. Default: none.
        upgrade_socket: Option<PathBuf> = None,
        /// Logging.
        log: LogSettings = LogSettings::default(),
        /// Codec instances kept ready, 1 to 1000.
        pool_size: usize = 600,
        /// Where pairs are kept, if several relays share them: `redis://user:password@host:port/database`, or `rediss://` with
        /// TLS. Absent: in this process.
        redis_url: Option<Secret> = None,
        /// A file that holds `redis_url`.
        redis_url_file: Option<PathBuf> = None,
        /// The authorities that a rediss:// server's certificate must come from, as PEM, instead of the system's.
        redis_ca_file: Option<PathBuf> = None,
        /// How long a reply of Redis is waited for.
        redis_timeout: HumanDuration = HumanDuration(std::time::Duration::from_millis(500)),
        /// Uses a server that may drop pairs at any time: one whose maxmemory-policy is not noeviction.
        redis_allow_eviction: bool = false,
        /// Seals the secrets of pairs in Redis, at least 32 characters. Absent: each tenant's `client_id_secret` does.
        state_key: Option<Secret> = None,
        /// A file that holds `state_key`.
        state_key_file: Option<PathBuf> = None,
        /// The key before this one: it still opens.
        state_key_previous: Option<Secret> = None,
        /// A file that holds `state_key_previous`.
        state_key_previous_file: Option<PathBuf> = None,
        /// Limits on pairs.
        pairs: PairSettings = PairSettings::default(),
        /// Limits on requests.
        limits: LimitSettings = LimitSettings::default(),
        /// Time limits.
        timeouts: TimeoutSettings = TimeoutSettings::default(),
        /// How often upstream names are resolved again.
        dns_refresh: HumanDuration = seconds(30),
        /// How changes to the file are applied to a running relay.
        reload: ReloadSettings = ReloadSettings::default(),
        /// Networks and addresses of the proxies in front of the relay, whose x-forwarded-for, x-forwarded-proto,
        /// x-request-id and PROXY headers are trusted. Empty: none.
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
        /// Whether it uses TLS, with the tenants' certificates.
        tls: bool = false,
        /// Whether connections must begin with a PROXY header (v1 or v2) with the client's address.
        proxy_protocol: bool = false,
    }
}

settings! {
    /// The admin listener, for operators.
    AdminSettings {
        /// Address and port, or `none`. Must not be one of the relay's other listeners.
        address: Option<String> = None,
        /// Host names and addresses of this listener, besides localhost and the address that a request was sent to. Requests
        /// for other hosts are refused (421).
        hosts: Vec<String> = Vec::new(),
        /// An additional Unix socket (mode 0600); requests over it need no token. Default: none.
        socket: Option<PathBuf> = None,
        /// The token that requests for changes need: `authorization: Bearer <token>`. Default: none.
        token: Option<Secret> = None,
        /// A file that holds `token`.
        token_file: Option<PathBuf> = None,
    }
}

settings! {
    /// How changes to the file are applied to a running relay. SIGHUP always does.
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
        /// json, pretty, or auto: pretty on a terminal, otherwise json.
        format: String = "auto".into(),
        /// Buffer for lines that a slow log reader has not read yet; lines that do not fit are dropped and counted.
        buffer: Size = Size(8 << 20),
    }
}

settings! {
    /// Limits on pairs.
    PairSettings {
        /// A pair that was not used for this time is dropped.
        idle_timeout: HumanDuration = seconds(1_800),
        /// A pair that was never used is dropped after this time.
        unused_timeout: HumanDuration = seconds(600),
        /// A pair of this age must be renewed (559).
        max_age: HumanDuration = seconds(86_400),
        /// Pairs of one client; beyond it, the client's own oldest pairs are evicted.
        max_per_client: usize = 200,
        /// Pairs in one pairing request; beyond it, 400.
        max_per_request: usize = 100,
        /// Pairs of one client network (/24, /56); beyond it, 429.
        max_per_network: usize = 100_000,
        /// Pairs of all tenants. When full, pairs above a tenant's share are evicted, then the tenant's own unused ones;
        /// otherwise pairing is refused (503).
        max_total: usize = 1_000_000,
        /// The part of max_total that one tenant may keep when others need room, above 0 and at most 1.
        tenant_share: f64 = 0.5,
        /// The weakest KEM that is accepted: ml-kem-512, ml-kem-768, ml-kem-1024 or x-wing. x-wing is satisfied only by
        /// x-wing itself, which does not satisfy ml-kem-1024.
        min_kem: String = "ml-kem-512".into(),
    }
}

settings! {
    /// Limits on requests.
    LimitSettings {
        /// Bytes of the request target and header fields together; beyond it, 431.
        max_header_bytes: Size = Size(64 << 10),
        /// Number of header field names in a request's head, and in its sealed headers; beyond it, 431.
        header_names: usize = 200,
        /// Bytes of a request body as received; 0 is unlimited. Beyond it, 413.
        max_body: Size = Size(0),
        /// Bytes of a body of encode type MTE, which is held in memory.
        max_mte_body: Size = Size(1 << 20),
        /// Total bytes of pairing requests and of bodies of encode type MTE held in memory at once; beyond it, 503. 0 is
        /// unlimited.
        gathered: Size = Size(256 << 20),
        /// Client connections, and also requests in flight; beyond it, connections are closed, and requests get 503. 0 is
        /// unlimited.
        connections: usize = 20_000,
        /// The same for one client network (/24, /56); of requests, those over HTTP/2 are limited.
        connections_per_network: usize = 5_000,
        /// Pairs per second and client network (/24, /56; five times that per /48), burst of twice that; beyond it, 429. 0 is
        /// unlimited.
        pairs_per_second: u32 = 200,
        /// Requests per second and client id, burst of twice that; beyond it, 429. 0 is unlimited. Requests that do not
        /// decode count against their client network (/24, /56) instead, at the same rate.
        requests_per_second: u32 = 0,
    }
}

settings! {
    /// Time limits.
    TimeoutSettings {
        /// Connecting to an upstream, including the TLS handshake.
        connect: HumanDuration = seconds(5),
        /// Waiting for more bytes, from clients and upstreams.
        read: HumanDuration = seconds(60),
        /// Waiting to send more bytes, to clients and upstreams.
        write: HumanDuration = seconds(60),
        /// How long an unused connection is kept open.
        idle: HumanDuration = seconds(60),
        /// Total time for the PROXY header and TLS handshake, and for each request's head.
        headers: HumanDuration = seconds(10),
        /// Total time to receive a body that is held in memory (pairing, type MTE, the first part of others).
        body: HumanDuration = seconds(30),
        /// Time for requests in flight to finish on SIGTERM or a hand-over.
        drain: HumanDuration = seconds(30),
    }
}

settings! {
    /// One tenant.
    TenantSettings {
        /// Where requests are sent: an origin (`https://host[:port]`), a list of origins, or the long form.
        upstream: Option<UpstreamSettings> = None,
        /// The key that signs client ids.
        client_id_secret: Option<Secret> = None,
        /// A file that holds `client_id_secret`.
        client_id_secret_file: Option<PathBuf> = None,
        /// The previous secret, during a rotation: client ids signed with it still verify.
        client_id_secret_previous: Option<Secret> = None,
        /// A file that holds `client_id_secret_previous`.
        client_id_secret_previous_file: Option<PathBuf> = None,
        /// Origins that browsers may send requests from.
        cors_origins: Vec<String> = Vec::new(),
        /// Allowed methods; any other gets 405.
        cors_methods: Vec<String> = super::checks::DEFAULT_METHODS.map(String::from).to_vec(),
        /// Whether browsers may send credentials. Default: true, unless cors_origins has "*".
        cors_credentials: Option<bool> = None,
        /// Routes that are proxied unchanged, without encryption.
        pass_through_routes: Vec<String> = Vec::new(),
        /// If given, the only routes besides the pass-through ones; any other gets 404.
        mte_routes: Vec<String> = Vec::new(),
        /// Header fields added to upstream requests and to responses.
        headers: BTreeMap<String, Secret> = BTreeMap::new(),
        /// Sends the client's Host to the upstream instead of the upstream's own.
        preserve_host: bool = false,
        /// Allows requests whose URL and headers are both in the clear.
        allow_plain_requests: bool = false,
        /// Refuses requests without `:method` and `:authority` in the sealed headers.
        require_binding: bool = false,
        /// true: refuses requests without sealed headers; false: refuses none of them. Default: refuses those whose sender
        /// does not say how many messages it sends, because removed headers would go unnoticed.
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
        /// The weakest KEM that this tenant accepts, if it is stronger than pairs.min_kem.
        min_kem: Option<String> = None,
        /// Further attempts after a connection could not be made.
        retries: usize = 1,
    }
}

settings! {
    /// TLS for connections from clients.
    TlsSettings {
        /// The certificate chain, as PEM, the tenant's own certificate first.
        certificate_file: PathBuf = PathBuf::new(),
        /// Its private key, as PEM.
        key_file: PathBuf = PathBuf::new(),
        /// Clients must present a certificate of one of these authorities, as PEM. Default: none.
        client_ca_file: Option<PathBuf> = None,
    }
}

settings! {
    /// TLS for connections to an upstream.
    UpstreamTlsSettings {
        /// Whether certificate and name are verified.
        verify: bool = true,
        /// The authority to trust instead of the system's, as PEM.
        ca_file: Option<PathBuf> = None,
        /// The server name (SNI) to request and verify instead of the upstream's host.
        sni: Option<String> = None,
        /// HTTP/2: auto (if the upstream offers it), always (also without TLS), never.
        http2: Http2 = Http2::Auto,
    }
}

words!(Http2 { "auto" => Self::Auto, "always" => Self::Always, "never" => Self::Never, });
