//! TLS: which cryptography it uses.

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Makes `aws-lc-rs` the process's TLS cryptography, the post-quantum key exchange preferred. Must come before
/// anything of Pingora, which would otherwise install its own choice; a second call changes nothing.
pub fn install_provider() {
    use aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1];
    let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
    // An error means that there is one already: this one, or an embedding program's choice.
    let _ = provider.install_default();
}
