//! Which peers and addresses are connected to, with a resolver that answers as it is told.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mte_relay::upstream::Resolver;

use super::{Chain, NAMED, ask, relay_a, start_resolving};
use crate::harness::{Authority, Relay, Setup, Upstream, free_port, run};

/// Answers the n-th question with the n-th list, and the last one again and again.
fn resolver(answers: &[&[&str]]) -> (Resolver, Arc<AtomicUsize>) {
    let answers: Vec<Vec<IpAddr>> =
        answers.iter().map(|list| list.iter().map(|text| text.parse().unwrap()).collect()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = Resolver::new(move |_, port| {
        let at = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let list: Vec<_> = answers[at].iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Box::pin(
            async move { if list.is_empty() { Err(io::Error::other("no such name")) } else { Ok(list) } },
        )
    });
    (resolver, asked)
}

async fn resolving(tenant: &str, answers: &[&[&str]]) -> (Relay, Arc<AtomicUsize>) {
    let (resolver, asked) = resolver(answers);
    (start_resolving(&relay_a("timeouts: {connect: 1s}", tenant), resolver).await, asked)
}

#[test]
fn a_peer_is_admitted_by_origin_wildcard_or_network() {
    run(async {
        let chain = Chain::new().await;
        let port = chain.tap.address.port();
        let list =
            format!("outbound_peers: ['http://one.test:{port}', 'http://*.many.test:{port}', 127.0.0.1/32]");
        let names = format!("outbound_peers: ['http://one.test:{port}', 'http://*.many.test:{port}']");
        for (list, peer, status) in [
            (&list, format!("http://one.test:{port}"), 200),
            (&list, format!("http://a.many.test:{port}"), 200),
            // By the network.
            (&list, format!("http://other.test:{port}"), 200),
            // Private addresses need a network.
            (&names, format!("http://one.test:{port}"), 403),
            (&names, format!("http://a.many.test:{port}"), 403),
            (&names, format!("http://other.test:{port}"), 403),
            (&names, format!("http://a.b.many.test:{port}"), 403),
            (&names, "http://one.test:1".into(), 403),
            (&names, format!("https://one.test:{port}"), 403),
        ] {
            let (a, _) = resolving(list, &[&["127.0.0.1"]]).await;
            assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), status, "{list} {peer}");
        }
    });
}

#[test]
fn the_name_is_kept_in_host_and_the_checked_address_is_dialled() {
    run(async {
        let chain = Chain::new().await;
        let port = chain.tap.address.port();
        let (a, asked) = resolving(super::LOOPBACK, &[&["127.0.0.1"]]).await;
        for _ in 0..3 {
            assert_eq!(
                ask(&a, &format!("http://B.Example.:{port}"), "GET / HTTP/1.1", "").await.status(),
                200
            );
        }
        let host = format!("b.example:{port}");
        assert_eq!(chain.upstream.last().header("x-forwarded-host"), Some(host.as_str()));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the name is resolved once for a connection");
    });
}

#[test]
fn an_answer_that_changes_after_the_check_has_no_effect() {
    run(async {
        let chain = Chain::new().await;
        let port = chain.tap.address.port();
        // Allowed when it is checked; the next answer would lead elsewhere.
        let (a, _) = resolving(super::LOOPBACK, &[&["127.0.0.1"], &["169.254.169.254"]]).await;
        let peer = format!("http://rebinding.test:{port}");
        assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), 200);
        // A new connection is checked again.
        let (a, asked) = resolving(super::LOOPBACK, &[&["169.254.169.254"], &["127.0.0.1"]]).await;
        let accepted = chain.tap.accepted();
        assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), 403);
        assert_eq!((asked.load(Ordering::SeqCst), chain.tap.accepted()), (1, accepted));
        assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), 200);
    });
}

#[test]
fn one_bad_address_among_good_ones_refuses_the_peer() {
    run(async {
        let chain = Chain::new().await;
        let port = chain.tap.address.port();
        for bad in ["10.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00:ec2::254", "0.0.0.0"] {
            for addresses in [["127.0.0.1", bad], [bad, "127.0.0.1"]] {
                let (a, _) = resolving(super::LOOPBACK, &[&addresses]).await;
                let response = ask(&a, &format!("http://mixed.test:{port}"), "GET / HTTP/1.1", "").await;
                assert_eq!(response.status(), 403, "{addresses:?}");
                // What the name means inside of this network is not for the client to know.
                assert!(!response.text().contains(bad), "{}", response.text());
            }
        }
        assert_eq!(chain.tap.accepted(), 0);
    });
}

#[test]
fn addresses_that_are_never_dialled_are_refused_whatever_the_list_says() {
    run(async {
        let everything = "outbound_peers: ['0.0.0.0/0', '::/0', 'https://named.test']";
        for address in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            let (a, _) = resolving(everything, &[&[address]]).await;
            assert_eq!(ask(&a, "https://named.test", "GET / HTTP/1.1", "").await.status(), 403, "{address}");
        }
    });
}

#[test]
fn loopback_and_private_addresses_are_refused_without_their_network() {
    run(async {
        for list in ["", "outbound_peers: ['https://named.test', 'http://named.test']"] {
            for address in [
                "127.0.0.1",
                "10.0.0.1",
                "172.16.0.1",
                "192.168.0.1",
                "100.64.0.1",
                "::1",
                "fd00::1",
                "::ffff:127.0.0.1",
                "64:ff9b::127.0.0.1",
                "2002:7f00:1::1",
            ] {
                let (a, _) = resolving(list, &[&[address]]).await;
                let response = ask(&a, "https://named.test", "GET / HTTP/1.1", "").await;
                assert_eq!(response.status(), 403, "{list} {address}");
            }
        }
        let (a, asked) = resolving("", &[&["1.1.1.1"]]).await;
        assert_eq!(ask(&a, "http://named.test", "GET / HTTP/1.1", "").await.status(), 403, "without TLS");
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn addresses_in_urls_are_checked_as_those_of_names_are() {
    run(async {
        let a = relay_a("", "").start().await;
        for peer in [
            "https://127.0.0.1:9",
            "https://[::1]:9",
            "https://[::ffff:127.0.0.1]:9",
            "https://169.254.169.254",
            "https://[64:ff9b::a00:1]",
            "https://localhost:9",
        ] {
            assert_eq!(ask(&a, peer, "GET / HTTP/1.1", "").await.status(), 403, "{peer}");
        }
        for peer in ["https://2130706433", "https://127.1", "https://0177.0.0.1"] {
            assert_eq!(ask(&a, peer, "GET / HTTP/1.1", "").await.status(), 400, "{peer}");
        }
    });
}

#[test]
fn a_name_that_does_not_resolve_is_502() {
    run(async {
        let (a, _) = resolving("", &[&[]]).await;
        assert_eq!(ask(&a, "https://nowhere.test", "GET / HTTP/1.1", "").await.status(), 502);
        assert_eq!(super::failures(&a, "peer_unreachable"), 1);
    });
}

#[test]
fn a_peer_over_tls_is_verified_by_its_name() {
    run(async {
        let (folder, authority, upstream) =
            (tempfile::tempdir().unwrap(), Authority::new(), Upstream::standard().await);
        let b = Setup::default()
            .tenant(NAMED, &upstream.url(), &authority.settings(folder.path(), NAMED, ""))
            .start()
            .await;
        let port = b.tls.unwrap().port();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let tenant = format!(
            "outbound_peers: ['https://{NAMED}:{port}', 'https://other.test:{port}', 127.0.0.0/8]\noutbound_ca_file: {}",
            ca.display()
        );
        let (a, _) = resolving(&tenant, &[&["127.0.0.1"]]).await;
        for _ in 0..2 {
            let response =
                ask(&a, &format!("https://{NAMED}:{port}"), "POST /over-tls HTTP/1.1", "body").await;
            assert_eq!((response.status(), response.text()), (200, "POST /over-tls 4"));
        }
        // The certificate is for another name.
        let response = ask(&a, &format!("https://other.test:{port}"), "GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 502);
        // Without the authority the certificate is no one's.
        let (a, _) = resolving(super::LOOPBACK, &[&["127.0.0.1"]]).await;
        let response = ask(&a, &format!("https://{NAMED}:{port}"), "GET / HTTP/1.1", "").await;
        assert_eq!(response.status(), 502);
        assert_eq!(super::failures(&a, "peer_unreachable"), 1);
    });
}

#[test]
fn the_number_of_clients_that_are_kept_is_bounded() {
    run(async {
        let chain = Chain::new().await;
        let (a, _) = resolving(super::LOOPBACK, &[&["127.0.0.1"]]).await;
        let kept = |relay: &Relay| {
            let config = relay.shared.config.load();
            config.domains.find(super::APP).unwrap().outbound.as_ref().unwrap().clients.len()
        };
        let dead = free_port();
        for index in 0..130 {
            let response = ask(&a, &format!("http://name{index}.test:{dead}"), "GET / HTTP/1.1", "").await;
            assert_eq!(response.status(), 502);
        }
        assert_eq!(kept(&a), 100);
        let peer = format!("http://one.test:{}", chain.tap.address.port());
        assert_eq!(ask(&a, &peer, "GET / HTTP/1.1", "").await.status(), 200);
        assert_eq!(kept(&a), 100);
        // One that turned out not to be allowed takes no place.
        let (a, _) = resolving(super::LOOPBACK, &[&["10.0.0.1"]]).await;
        assert_eq!(ask(&a, "https://private.test", "GET / HTTP/1.1", "").await.status(), 403);
        assert_eq!(kept(&a), 0);
    });
}
