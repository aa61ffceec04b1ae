//! Signed client ids (docs/protocol.md, section 1): `<uuid v4>.<64 lower-case hex>`.
//!
//! A client id costs nothing and grants nothing by itself: the signature only shows that this tenant's relay
//! minted it, so that clients cannot choose ids. Signatures are compared in constant time, and a refusal does not
//! say what was wrong.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use thiserror::Error;

const UUID_LEN: usize = 36;
const TAG_LEN: usize = 32;
const SIGNED_LEN: usize = UUID_LEN + 1 + 2 * TAG_LEN;

/// A client's identity, a version 4 uuid (docs/protocol.md, section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId([u8; 16]);

impl ClientId {
    /// Makes an id of 16 random bytes: the version and variant bits are set, the other 122 kept.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The 16 bytes, for keys of maps and stores.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    fn text(&self) -> [u8; UUID_LEN] {
        let mut text = [b'-'; UUID_LEN];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at..at + 2].copy_from_slice(&hex(*byte));
            at += 2;
        }
        text
    }
}

/// The hyphenated lower-case form.
impl fmt::Display for ClientId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits, letters and hyphens: always UTF-8.
        out.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// Reads the hyphenated lower-case form of a version 4 uuid, and no other. It proves nothing: see
/// [`ClientIdSecret::verify`].
impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, InvalidClientId> {
        let text: &[u8; UUID_LEN] = text.as_bytes().try_into().map_err(|_| InvalidClientId)?;
        let mut bytes = [0; 16];
        let mut at = 0;
        for (index, byte) in bytes.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                if text[at] != b'-' {
                    return Err(InvalidClientId);
                }
                at += 1;
            }
            *byte = unhex(text[at], text[at + 1]).ok_or(InvalidClientId)?;
            at += 2;
        }
        let id = Self(bytes);
        if Self::from_random(bytes) == id { Ok(id) } else { Err(InvalidClientId) }
    }
}

/// Whether a text has the form of a signed id (docs/protocol.md, section 1); the signature is not verified.
pub fn is_well_formed(signed: &str) -> bool {
    let Some((uuid, tag)) = signed.split_once('.') else { return false };
    let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    uuid.parse::<ClientId>().is_ok() && tag.len() == 2 * TAG_LEN && tag.bytes().all(hex)
}

/// The part of a client id, as a client sent it, that may be logged: up to its signature, or to what might be one.
pub fn without_signature(signed: &str) -> &str {
    let id = signed.split('.').next().unwrap_or_default();
    let mut run = 0;
    for (at, byte) in id.bytes().enumerate() {
        run = if byte.is_ascii_hexdigit() { run + 1 } else { 0 };
        // Hexadecimal digits are ASCII, so these are whole characters.
        if run == TAG_LEN {
            return &id[..at + 1 - run];
        }
    }
    id
}

/// A text that is no client id of this tenant: of another shape, or signed with another secret. Answered with
/// 566.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the client id does not verify")]
pub struct InvalidClientId;

/// A `client_id_secret` without a single byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("client_id_secret is empty: set it to at least 32 random characters")]
pub struct EmptySecret;

/// A tenant's `client_id_secret`, as an HMAC-SHA256 key (docs/protocol.md, section 1).
///
/// Prints nothing. The library wipes the key's state when it is dropped; the bytes it was made of are the
/// caller's to wipe.
#[derive(Clone)]
pub struct ClientIdSecret(hmac::Key);

impl ClientIdSecret {
    /// Takes any non-empty secret. How long it should be is the configuration's to say.
    ///
    /// # Errors
    /// [`EmptySecret`] if it has no bytes.
    pub fn new(secret: &[u8]) -> Result<Self, EmptySecret> {
        if secret.is_empty() {
            return Err(EmptySecret);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The signed form of an id, 101 characters (docs/protocol.md, section 1).
    pub fn sign(&self, id: ClientId) -> String {
        let text = id.text();
        let tag = hmac::sign(&self.0, &text);
        let mut signed = String::with_capacity(SIGNED_LEN);
        signed.extend(text.map(char::from));
        signed.push('.');
        signed.extend(tag.as_ref().iter().flat_map(|&byte| hex(byte).map(char::from)));
        signed
    }

    /// A name that everyone who has the secret derives, and no one else: 16 hexadecimal digits. It can be public. `purpose`
    /// keeps names apart that are used for different things.
    pub fn public_name(&self, purpose: &str, of: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        // No client id begins so, and no purpose has a line break.
        for part in [purpose, "\n", of] {
            context.update(part.as_bytes());
        }
        context.sign().as_ref()[..8].iter().flat_map(|&byte| hex(byte).map(char::from)).collect()
    }

    /// Checks a signed id in constant time (docs/protocol.md, section 1).
    ///
    /// The shape is strict, so that an id has one signed form only: lower-case throughout, hyphens, version
    /// and variant.
    ///
    /// # Errors
    /// [`InvalidClientId`], whatever is wrong with it.
    pub fn verify(&self, signed: &str) -> Result<ClientId, InvalidClientId> {
        let (uuid, tag_text) = signed.split_once('.').ok_or(InvalidClientId)?;
        let id: ClientId = uuid.parse()?;
        let tag_text: &[u8; 2 * TAG_LEN] = tag_text.as_bytes().try_into().map_err(|_| InvalidClientId)?;
        let mut tag = [0; TAG_LEN];
        for (byte, digits) in tag.iter_mut().zip(tag_text.chunks_exact(2)) {
            *byte = unhex(digits[0], digits[1]).ok_or(InvalidClientId)?;
        }
        hmac::verify(&self.0, uuid.as_bytes(), &tag).map_err(|_| InvalidClientId)?;
        Ok(id)
    }
}

impl fmt::Debug for ClientIdSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ClientIdSecret(..)")
    }
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn unhex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "00112233-4455-4677-8899-aabbccddeeff";
    // printf %s $UUID | openssl dgst -sha256 -hmac 'a secret of thirty-two characters'
    const SIGNATURE: &str = "4f91484ec502a1893b3bc334e146c2296f685fb74b82c0ca3e91f60350e150a7";

    fn secret() -> ClientIdSecret {
        ClientIdSecret::new(b"a secret of thirty-two characters").unwrap()
    }

    // printf 'outbound via\na.test' | openssl dgst -sha256 -hmac 'a secret of thirty-two characters' | cut -c1-16
    #[test]
    fn a_public_name_depends_on_secret_purpose_and_subject() {
        assert_eq!(secret().public_name("outbound via", "a.test"), "3c47e08797daaf30");
        assert_ne!(
            secret().public_name("outbound via", "a.test"),
            secret().public_name("outbound", "via\na.test")
        );
    }

    #[test]
    fn a_signed_id_is_the_uuid_and_the_hmac_of_its_text() {
        let id: ClientId = UUID.parse().unwrap();
        let signed = secret().sign(id);
        assert_eq!(signed, format!("{UUID}.{SIGNATURE}"));
        assert_eq!(secret().verify(&signed), Ok(id));
    }

    #[test]
    fn another_secret_does_not_verify() {
        let signed = secret().sign(ClientId::from_random([7; 16]));
        assert!(ClientIdSecret::new(b"x").unwrap().verify(&signed).is_err());
    }

    #[test]
    fn random_bytes_become_a_version_4_uuid() {
        assert_eq!(ClientId::from_random([0xff; 16]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(ClientId::from_random([0; 16]).to_string(), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn the_shape_of_a_uuid_is_strict() {
        for text in [
            "",
            "00112233-4455-4677-8899-AABBCCDDEEFF",
            "00112233-4455-1677-8899-aabbccddeeff",
            "00112233-4455-4677-c899-aabbccddeeff",
            "001122334455467788990aabbccddeeff123",
            "00112233-4455-4677-8899-aabbccddeefg",
            "00112233-4455-4677-8899-aabbccddeef",
        ] {
            assert!(text.parse::<ClientId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_signature_has_one_form_only() {
        let signed = secret().sign(ClientId::from_random([1; 16]));
        for text in [
            signed.to_uppercase(),
            format!("{signed}0"),
            format!("{signed}."),
            signed[..100].to_owned(),
            signed.replace('.', ""),
            signed.replace('.', ".."),
            format!(" {signed}"),
            String::new(),
        ] {
            assert!(secret().verify(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_log_shows_an_id_and_never_its_signature() {
        let signed = secret().sign(ClientId::from_random([1; 16]));
        assert!(is_well_formed(&signed) && !is_well_formed(&signed[1..]) && !is_well_formed(UUID));
        assert_eq!(without_signature(&signed), &signed[..36]);
        assert_eq!(without_signature("\u{e9}, no id"), "\u{e9}, no id");
        for text in [signed.replace('.', ""), signed.replace('.', "-"), signed[37..].to_owned()] {
            assert!(!without_signature(&text).contains(&signed[40..60]), "{text}");
        }
    }

    #[test]
    fn a_secret_prints_nothing_and_is_never_empty() {
        assert_eq!(format!("{:?}", secret()), "ClientIdSecret(..)");
        assert!(ClientIdSecret::new(b"").is_err());
        assert!(ClientIdSecret::new(&[0; 1000]).is_ok());
    }

    proptest! {
        #[test]
        fn every_id_verifies_and_no_changed_one_does(
            bytes: [u8; 16], at in 0..SIGNED_LEN, change in 1..128u8,
        ) {
            let id = ClientId::from_random(bytes);
            let signed = secret().sign(id);
            prop_assert_eq!(secret().verify(&signed), Ok(id));
            let mut forged = signed.into_bytes();
            forged[at] ^= change;
            if let Ok(text) = std::str::from_utf8(&forged) {
                prop_assert!(secret().verify(text).is_err());
            }
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".*") {
            prop_assert!(secret().verify(&text).is_err());
        }
    }
}
