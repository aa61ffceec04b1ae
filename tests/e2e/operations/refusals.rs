//! The log lines of refusals that operators investigate: with the client id, or the origin.

use super::Site;
use crate::harness::{HOST, Wire, run};

const UUID: &str = "00112233-4455-4677-8899-aabbccddeeff";

#[test]
fn a_client_id_that_does_not_verify_is_named_without_its_signature_and_with_the_reason() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        let signature = "4f91484ec502a1893b3bc334e146c2296f685fb74b82c0ca3e91f60350e150a7";
        let long = "x".repeat(200);
        for (id, shown, why) in [
            (format!("{UUID}.{signature}"), UUID, "not signed by this tenant"),
            (format!("{UUID}{signature}"), "00112233-4455-4677-8899-", "malformed"),
            ("a\"b".to_owned(), "a\\\"b", "malformed"),
            (long.clone(), &long[..64], "malformed"),
        ] {
            for line in ["GET /x", "HEAD /api/mte-relay"] {
                let mut wire = Wire::connect(([127, 0, 0, 1], site.port).into()).await;
                wire.send(format!(
                    "{line} HTTP/1.1\r\nhost: {HOST}\r\nx-mte-relay: {id},pair,1,1,0,0\r\n\r\n"
                ))
                .await;
                let answer = wire.response(line.starts_with("HEAD")).await.unwrap();
                assert_eq!(answer.status(), 566, "{id}");
                let request_id = answer.header("x-request-id").unwrap();
                let message = || {
                    let mut log = process.log().into_iter();
                    let line =
                        log.find(|line| line["request_id"] == request_id && line["cause"] == "client_id")?;
                    Some(line["message"].as_str().unwrap().to_owned())
                };
                site.until("its line is written", async || message().is_some()).await;
                let message = message().unwrap();
                assert!(message.ends_with(&format!("the client id \"{shown}\" is {why}")), "{message}");
            }
        }
        assert!(!process.output().contains(&signature[..20]));
    });
}

#[test]
fn a_refused_origin_is_named_in_the_log_and_in_the_access_line() {
    run(async {
        let site = Site::new().await;
        let process = site.start().await;
        let mut wire = Wire::connect(([127, 0, 0, 1], site.port).into()).await;
        let origin = format!("https://evil.test/\u{e9}{}", "x".repeat(500));
        wire.send(format!("GET /x HTTP/1.1\r\nhost: {HOST}\r\norigin: {origin}\r\n\r\n")).await;
        let answer = wire.response(false).await.unwrap();
        let request_id = answer.header("x-request-id").unwrap().to_owned();
        let lines = || {
            let of_request = |line: &serde_json::Value| line["request_id"] == *request_id;
            process.log().into_iter().filter(of_request).collect::<Vec<_>>()
        };
        let done = async || lines().iter().any(|line| line["target"] == "mte_relay::access");
        site.until("its access line is written", done).await;
        let lines = lines();
        let cors = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("CORS: ")).unwrap();
        let named = cors["origin"].as_str().unwrap();
        assert!(named.starts_with("https://evil.test/\\xc3\\xa9x") && named.len() < 140, "{named}");
        assert_eq!((&cors["tenant"], &cors["level"]), (&HOST.into(), &"info".into()));
        assert_eq!(lines.iter().find(|line| line["message"] == "request").unwrap()["cors_refused"], *named);
    });
}
