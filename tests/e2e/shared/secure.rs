//! TLS towards Redis, and a user with no more permissions than the documents list.

use mte_client::{KemId, wire::Offer};

use super::{relay, sealed, send};
use crate::harness::{Authority, HOST, RedisServer, Session, Upstream, free_port, pairing, run};

/// The permissions that docs/operations.md lists.
fn documented_permissions() -> Vec<&'static str> {
    let documents = include_str!("../../../docs/operations.md");
    let (_, list) = documents.split_once("a user needs `~mte:*` and `").unwrap();
    list.split_once('`').unwrap().0.split_whitespace().collect()
}

#[test]
fn a_user_with_the_documented_permissions_over_tls_with_an_own_authority_is_enough() {
    run(async {
        let (authority, folder, port) = (Authority::new(), tempfile::tempdir().unwrap(), free_port());
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        authority.settings(folder.path(), "localhost", "");
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (certificate, key, tls_port) = (path("localhost.crt"), path("localhost.key"), port.to_string());
        let redis = RedisServer::start(&[
            "--tls-port",
            &tls_port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            ca.to_str().unwrap(),
            "--tls-auth-clients",
            "no",
        ]);
        let mut user = vec!["ACL", "SETUSER", "relay", "on", ">a-password", "~mte:*"];
        user.extend(documented_permissions());
        let _: String = redis.ask(&user);

        let upstream = Upstream::standard().await;
        let url = format!("rediss://relay:a-password@localhost:{port}");
        let well = relay(&format!("{url}\nredis_ca_file: {}", ca.display()), &upstream).await;
        let session = Session::new(&well).await;
        for _ in 0..40 {
            assert_eq!(send(&well, &sealed(&session)).await, 200);
        }

        let without_authority = relay(&url, &upstream).await;
        let offer = Offer::new(1, KemId::MlKem512);
        let answer = without_authority.ask(&pairing(HOST, "", &offer)).await;
        assert_eq!(answer.status(), 503, "the system's authorities do not know this one");
    });
}
