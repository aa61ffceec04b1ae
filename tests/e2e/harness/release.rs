//! The release build of the relay, for tests of its memory: how much it uses, and which secrets it leaves there.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The binary: the one in `MTE_RELAY_RELEASE_BIN`, or else the one that `cargo build --release` builds from these sources. `make
/// test` builds it beforehand; a test that is run alone waits some minutes for it the first time.
pub(crate) fn release_binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(given) = std::env::var_os("MTE_RELAY_RELEASE_BIN") {
            return given.into();
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--locked", "--quiet", "--bin", "mte-relay"]);
        // `cargo test` sets these for its tests. Build scripts that look at them would have to run again, and all that depends
        // on them would be compiled again.
        for (name, _) in std::env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|set| name.starts_with(set)))
            {
                cargo.env_remove(&name);
            }
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "cargo build --release: {built}");
        // target/debug/mte-relay is this build's binary, target/release/mte-relay the other.
        let target = Path::new(super::BINARY).ancestors().nth(2).expect("a target folder");
        target.join("release/mte-relay")
    })
}
