//! A reload of relay A: what has not changed keeps its pairs.

use super::{Chain, LOOPBACK, TOKEN, lines, pairs_made, relay_a};
use crate::harness::{Message, Process, Wire, eventually, free_port, run};

struct Reloaded {
    process: Process,
    port: u16,
    file: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Reloaded {
    fn start(tenant: &str) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("relay.yaml");
        let top = "log: {format: json}\nreload: {watch: false}";
        std::fs::write(&file, relay_a(top, tenant).text(port)).unwrap();
        let process = Process::start(&["run", "--config", file.to_str().unwrap()], &[], port);
        Self { process, port, file, _folder: folder }
    }

    async fn reload(&self, text: &str) {
        let reloads = || {
            let said = |line: &serde_json::Value| {
                line["message"].as_str().is_some_and(|message| message.starts_with("configuration"))
            };
            self.process.log().iter().filter(|line| said(line)).count()
        };
        let before = reloads();
        std::fs::write(&self.file, text).unwrap();
        self.process.signal("HUP");
        eventually("the reload is tried", || reloads() > before).await;
    }

    async fn ask(&self, lines: &str) -> Message {
        let mut wire = Wire::connect(([127, 0, 0, 1], self.port).into()).await;
        wire.send(format!("GET / HTTP/1.1\r\n{lines}\r\n")).await;
        wire.response(false).await.unwrap()
    }
}

#[test]
fn a_reload_keeps_pairs_and_connections_unless_what_concerns_them_has_changed() {
    run(async {
        let chain = Chain::new().await;
        let a = Reloaded::start(LOOPBACK);
        let text = std::fs::read_to_string(&a.file).unwrap();
        let lines = chain.lines();
        assert_eq!(a.ask(&lines).await.status(), 200);
        let (pairs, connections) = (pairs_made(&chain.b), chain.tap.accepted());

        // Another token, and another tenant: the peers are the same.
        let other = text.replace(TOKEN, &TOKEN.to_uppercase());
        let more = format!(
            "{other}  other.test: {{upstream: 'http://127.0.0.1:1', client_id_secret: '{TOKEN}{TOKEN}'}}\n"
        );
        a.reload(&more).await;
        assert_eq!(a.ask(&lines).await.status(), 401);
        assert_eq!(a.ask(&lines.replace(TOKEN, &TOKEN.to_uppercase())).await.status(), 200);
        // A configuration that is refused changes nothing.
        a.reload(&text.replace(LOOPBACK, "outbound_peers: [nonsense]")).await;
        assert_eq!(a.ask(&lines.replace(TOKEN, &TOKEN.to_uppercase())).await.status(), 200);
        a.reload(&text).await;
        assert_eq!(a.ask(&lines).await.status(), 200);
        assert_eq!((pairs_made(&chain.b), chain.tap.accepted()), (pairs, connections));

        // The peer is no longer allowed, and a connection that was made before is no way around that.
        a.reload(&text.replace(LOOPBACK, "outbound_peers: ['https://elsewhere.example']")).await;
        assert_eq!(a.ask(&lines).await.status(), 403);
        a.reload(&text).await;
        assert_eq!(a.ask(&lines).await.status(), 200);
        assert_eq!(pairs_made(&chain.b), pairs + 2, "it has paired again");

        // Without a token there is no outbound mode.
        a.reload(&text.replace(&format!("outbound_token: {TOKEN}"), "preserve_host: false")).await;
        assert_eq!(a.ask(&lines).await.status(), 569);
    });
}

#[test]
fn a_reload_ends_no_exchange() {
    run(async {
        let chain = Chain::new().await;
        let a = Reloaded::start(LOOPBACK);
        let text = std::fs::read_to_string(&a.file).unwrap();
        let mut wire = Wire::connect(([127, 0, 0, 1], a.port).into()).await;
        let head = format!("POST / HTTP/1.1\r\n{}content-length: 200000\r\n\r\n", lines(&chain.peer()));
        wire.send(head).await;
        wire.send("x".repeat(100_000)).await;
        eventually("it is under way", || chain.upstream.begun() == 1).await;
        a.reload(&text.replace(LOOPBACK, "outbound_peers: ['https://elsewhere.example']")).await;
        wire.send("x".repeat(100_000)).await;
        let response = wire.response(false).await.unwrap();
        assert_eq!((response.status(), response.text()), (200, "POST / 200000"));
    });
}
