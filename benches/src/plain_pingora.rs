//! The baseline: the smallest possible Pingora proxy. It passes every request to one upstream, on one worker thread, and
//! inspects nothing. `mte-bench plain-pingora 127.0.0.1:8080 127.0.0.1:9000` runs it by hand.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora_core::{
    Result,
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct PlainProxy {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for PlainProxy {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Listens on the first address and proxies to the second, until the process is stopped.
pub(crate) fn serve(listen: SocketAddr, upstream: SocketAddr) -> ! {
    let conf = ServerConf {
        threads: 1,
        // The faster of Pingora's two runtimes for a single worker.
        work_stealing: false,
        // Stop immediately on SIGTERM.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, PlainProxy { upstream });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever()
}
