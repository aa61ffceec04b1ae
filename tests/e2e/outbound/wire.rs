//! What an eavesdropper between the relays sees.

use super::Chain;
use crate::harness::run;

#[test]
fn nothing_of_url_headers_and_bodies_is_on_the_wire_between_the_relays() {
    run(async {
        let chain = Chain::new().await;
        for (index, encode_type) in ["MKE", "MTE", "MKE"].into_iter().enumerate() {
            let body = format!("plaintext-of-body-{index} ").repeat(if index == 2 { 20_000 } else { 20 });
            let head = format!(
                "POST /plaintext-of-path?plaintext-of-query HTTP/1.1\r\nx-mte-encode-type: {encode_type}\r\n\
                 authorization: Bearer plaintext-of-token\r\ncookie: plaintext-of-cookie\r\nx-own: plaintext-of-header"
            );
            let response = chain.ask(&head, &body).await;
            assert_eq!(response.status(), 200, "{response:?}");
            let seen = chain.upstream.last();
            // It was all there, and the response repeats the path.
            assert!(response.text().contains("plaintext-of-path?plaintext-of-query"));
            assert_eq!(seen.header("authorization"), Some("Bearer plaintext-of-token"));
            assert_eq!(seen.header("cookie"), Some("plaintext-of-cookie"));
            assert_eq!(seen.body.len, body.len() as u64);
        }
        let wire = chain.tap.recorded();
        assert!(wire.len() > 400_000, "{} bytes", wire.len());
        assert!(chain.tap.saw("x-mte-relay-eh"), "it is the wire between the relays");
        assert!(!chain.tap.saw("plaintext-of"));
        assert!(!chain.tap.saw(super::TOKEN) && !chain.tap.saw("x-mte-upstream"));
        // Nor in the encodings that URLs and headers have.
        for shift in 0..3 {
            let text = format!("{}plaintext-of-", "x".repeat(shift));
            let encoded = mte_protocol::text::encode(text.as_bytes());
            let inner = &encoded[4 * shift.div_ceil(3)..encoded.len() - 4];
            assert!(!chain.tap.saw(inner), "{inner}");
        }
    });
}
