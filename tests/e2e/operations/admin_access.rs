//! Access to the admin listener: only requests for its own names, and protection against guessed tokens.

use tokio::net::TcpSocket;

use super::{Site, TOKEN};
use crate::harness::{HOST, Message, Wire, output, run};

/// Sends a request as written, from an address of this machine.
async fn ask(site: &Site, from: [u8; 4], request: &str) -> Message {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut wire = Wire::new(socket.connect(([127, 0, 0, 1], site.admin).into()).await.unwrap());
    wire.send(request).await;
    wire.response(false).await.unwrap()
}

const LOCAL: [u8; 4] = [127, 0, 0, 1];

fn set_level(token: &str, more: &str) -> String {
    format!(
        "PUT /log-level HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{more}content-length: 4\r\n\r\ninfo"
    )
}

#[test]
fn a_page_whose_name_resolves_to_the_admin_listener_cannot_read_it() {
    run(async {
        let site = Site::new().await;
        site.replace(&site.text("").replace("admin: {", "admin: {hosts: [Relay.Internal], "));
        let _process = site.start().await;
        for path in
            ["/", "/status.json", "/metrics", "/livez", "/readyz", "/config", "/log-level", "/nothing"]
        {
            for host in ["evil.test", &format!("evil.test:{}", site.admin), HOST, "0.0.0.0"] {
                let answer = ask(&site, LOCAL, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
                assert_eq!(answer.status(), 421, "{path} of {host}");
                assert!(answer.text().contains("admin.hosts") && !answer.text().contains("upstream"));
            }
            let absolute = format!("GET http://evil.test{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            assert_eq!(ask(&site, LOCAL, &absolute).await.status(), 421, "{path}");
        }
        let own = ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "relay.internal"]
            .map(|name| format!("{name}:{}", site.admin));
        for host in own {
            let answer = ask(&site, LOCAL, &format!("GET /config HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
            assert_eq!(answer.status(), 200, "{host}");
        }
        assert_eq!(
            ask(&site, LOCAL, "GET /readyz HTTP/1.0\r\n\r\n").await.status(),
            200,
            "a balancer's check"
        );
        assert_eq!(ask(&site, LOCAL, "GET /config HTTP/1.0\r\n\r\n").await.status(), 400);
        assert!(site.metric("mte_relay_admin_refused_total{cause=\"host\"}").await >= 40.0);
    });
}

#[test]
fn a_page_of_another_origin_cannot_guess_the_token() {
    run(async {
        let site = Site::new().await;
        let _process = site.start().await;
        for _ in 0..10 {
            let answer = ask(&site, LOCAL, &set_level(TOKEN, "origin: http://evil.test\r\n")).await;
            assert_eq!(answer.status(), 403, "{}", answer.text());
        }
        assert_eq!(ask(&site, LOCAL, &set_level(TOKEN, "")).await.status(), 200);
    });
}

#[test]
fn guessing_is_slowed_down_and_counted_and_the_right_token_works_from_elsewhere() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        for guess in 0..5 {
            let answer = ask(&site, LOCAL, &set_level(&format!("a guess of sixteen {guess}"), "")).await;
            assert_eq!(answer.status(), 401);
        }
        for token in ["a guess of sixteen 5", TOKEN] {
            let answer = ask(&site, LOCAL, &set_level(token, "")).await;
            assert_eq!(answer.status(), 429, "{}", answer.text());
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=13).contains(&wait), "{wait}");
        }
        assert_eq!(ask(&site, LOCAL, "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.status(), 200);
        assert_eq!(ask(&site, [127, 0, 0, 2], &set_level(TOKEN, "")).await.status(), 200);
        for (cause, count) in [("wrong_token", 5.0), ("too_many_guesses", 2.0)] {
            let series = format!("mte_relay_admin_refused_total{{cause=\"{cause}\"}}");
            assert_eq!(site.metric(&series).await, count, "{cause}");
        }
        site.until("it is logged", async || {
            process.output().contains("a wrong admin token came from 127.0.0.1")
        })
        .await;
        assert!(!process.output().contains("a guess of sixteen"), "the guessed token is not");
    });
}

#[test]
fn a_token_that_could_be_guessed_is_refused_at_the_start() {
    run(async {
        let site = Site::new().await;
        let file = site.file();
        std::fs::write(site.path("short"), "fifteen letters\n").unwrap();
        for (setting, refused) in [
            ("token: ''", true),
            ("token: fifteen-letters", true),
            ("token_file: short", true),
            ("token: sixteen-letters.", false),
        ] {
            site.replace(&site.text("").replace(&format!("token: {TOKEN}"), setting));
            let (code, _, stderr) = output(&["check", "--config", &file], &[]).await;
            assert_eq!(code == 78, refused, "{setting}: {stderr}");
            assert_eq!(
                stderr.contains("admin.token") && stderr.contains("needs at least 16"),
                refused,
                "{stderr}"
            );
            assert!(!stderr.contains("fifteen-letters"), "{stderr}");
        }
        site.replace(
            &site.text("").replace("admin: {", "admin: {hosts: ['http://a.test', 'a.test:80', '*'], "),
        );
        let (code, _, stderr) = output(&["check", "--config", &file], &[]).await;
        assert_eq!((code, stderr.matches("admin.hosts[").count()), (78, 3), "{stderr}");
    });
}
