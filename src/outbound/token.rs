//! The token of outbound requests. Digests are compared, in constant time, so that a comparison shows neither how much of a
//! token is right nor how long it is.

use std::fmt;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};

/// A token, as its SHA-256.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token of this text.
    pub fn new(text: &[u8]) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, text).as_ref());
        Self(sha256)
    }

    /// Whether a request has sent this token. Takes time by the length of what was sent, and by nothing else.
    pub fn is(&self, sent: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, &Self::new(sent).0).is_ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_near_it() {
        let token = Token::new(b"a token of tests");
        assert!(token.is(b"a token of tests"));
        for other in ["", "a token of test", "a token of tests ", "A token of tests"] {
            assert!(!token.is(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
