//! Upstreams that compress responses although they were asked not to.

use std::io::Write;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use mte_client::Body;

use super::relay;
use crate::harness::{Upstream, reply, run};

const TEXT: &str = "the quick brown fox jumps over the lazy dog, ";

fn text() -> String {
    TEXT.repeat(5_000)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    brotli::CompressorWriter::new(&mut out, 4096, 3, 20).write_all(text.as_bytes()).unwrap();
    out
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

/// An upstream that answers with this body and this content-encoding.
async fn coded(coding: &'static str, body: Vec<u8>, status: u16) -> Upstream {
    Upstream::serve(move |_| {
        let body = body.clone();
        async move {
            let mut reply = reply(Full::from(body));
            *reply.status_mut() = status.try_into()?;
            reply.headers_mut().insert("content-encoding", coding.parse()?);
            reply.headers_mut().insert("content-digest", "sha-256=:AAAA:".parse()?);
            Ok(reply)
        }
    })
    .await
}

#[test]
fn a_body_that_the_upstream_compressed_is_decoded_before_it_is_sealed() {
    run(async {
        let bodies = [
            ("gzip", gzip(&text())),
            ("x-gzip", gzip(&text())),
            ("deflate", deflate(&text())),
            ("br", brotli(&text())),
            ("ZSTD", zstd(&text())),
        ];
        for (coding, body) in bodies {
            let upstream = coded(coding, body, 200).await;
            let relay = relay(&upstream).await;
            let response = relay.client().get("/").await.unwrap();
            for name in ["content-encoding", "content-digest"] {
                assert!(!response.headers().contains_key(name), "{coding}: {name}");
            }
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, text(), "{coding}");
            relay.settled().await;
        }
    });
}

#[test]
fn a_body_that_cannot_be_decoded_keeps_its_coding_and_its_content_encoding() {
    run(async {
        for (coding, status) in [("compress", 200), ("gzip", 206), ("gzip, br", 200)] {
            let upstream = coded(coding, vec![1, 2, 3], status).await;
            let relay = relay(&upstream).await;
            let response = relay.client().get("/").await.unwrap();
            assert_eq!(response.headers()["content-encoding"], coding);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), Bytes::from(vec![1, 2, 3]));
        }
    });
}

#[test]
fn a_body_with_a_wrong_content_encoding_is_never_taken_for_a_complete_one() {
    run(async {
        let whole = gzip(&text());
        for body in [b"plain text".to_vec(), whole[..whole.len() - 1].to_vec(), whole[..20].to_vec()] {
            let upstream = coded("gzip", body, 200).await;
            let relay = relay(&upstream).await;
            let refused = match relay.client().get("/").await {
                Ok(response) => response.into_body().collect().await.is_err(),
                Err(error) => error.relay_status() == Some(502),
            };
            assert!(refused);
            relay.settled().await;
        }
    });
}

#[test]
fn pass_through_bodies_stay_compressed() {
    run(async {
        let upstream = coded("gzip", gzip("text"), 200).await;
        let relay = relay(&upstream).await;
        let (answer, _) = super::plain(&relay, "/open/a", "HTTP/1.1").await;
        assert_eq!((answer.header("content-encoding"), &answer.body), (Some("gzip"), &gzip("text")));
    });
}

#[test]
fn a_head_response_has_no_content_encoding_that_a_get_would_not_have() {
    run(async {
        let upstream = coded("gzip", Vec::new(), 200).await;
        let relay = relay(&upstream).await;
        let request = Request::head("/").body(Body::empty()).unwrap();
        let response = relay.client().send(request).await.unwrap();
        assert!(!response.headers().contains_key("content-encoding"));
    });
}
