//! Prints the test vectors of the open MTE codec:
//!
//! ```text
//! cargo run -p mte-codec --example vectors > crates/mte-codec/vectors/v1.json
//! ```
//!
//! The output is the same at every run, and `tests/vectors.rs` checks that the file in the repository is it.
//! What is printed comes from `reference.rs`, a second implementation of the format that shares no code
//! with the crate; the tests then hold the crate against the file.

mod file;
mod generate;
mod reference;

fn main() {
    print!("{}", generate::vectors().to_json());
}
