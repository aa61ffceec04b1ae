//! The scripts, and what they reply.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use redis::Value;

/// A script: Redis knows it by the SHA-1 digest of its text.
pub(super) struct Script {
    pub(super) text: String,
    pub(super) sha1: String,
}

impl Script {
    fn new(flags: &str, body: &str) -> Self {
        let text = format!("#!lua{flags}\n{}\n{body}", include_str!("lua/prelude.lua"));
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let sha1 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, sha1 }
    }
}

/// All of them.
pub(super) struct Scripts {
    pub(super) read: Script,
    pub(super) commit: Script,
    pub(super) create: Script,
    pub(super) remove: Script,
    /// Tries what the others do.
    pub(super) probe: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            // What is there already takes no more room: a full server still serves the pairs it has.
            read: Script::new(" flags=allow-oom", include_str!("lua/read.lua")),
            commit: Script::new(" flags=allow-oom", include_str!("lua/commit.lua")),
            create: Script::new("", include_str!("lua/create.lua")),
            remove: Script::new(" flags=allow-oom", include_str!("lua/remove.lua")),
            probe: Script::new(" flags=allow-oom", include_str!("lua/probe.lua")),
        }
    }

    pub(super) fn all(&self) -> [&Script; 5] {
        [&self.read, &self.commit, &self.create, &self.remove, &self.probe]
    }
}

/// What a script says. The numbers are those of `lua/prelude.lua`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Ok,
    /// The server is a replica: nothing was read or written.
    WrongNode,
    Gone,
    /// The record was written under another primary.
    Lost,
    Replaced,
    Old,
    Outside,
    Replayed,
    Exhausted,
    Exists,
    Full,
    /// The owner's index is not as the caller read it.
    Changed,
}

const CODES: [Code; 12] = [
    Code::Ok,
    Code::WrongNode,
    Code::Gone,
    Code::Lost,
    Code::Replaced,
    Code::Old,
    Code::Outside,
    Code::Replayed,
    Code::Exhausted,
    Code::Exists,
    Code::Full,
    Code::Changed,
];

/// A script's reply: its code, and what comes with it.
pub(super) struct Answer {
    pub(super) code: Code,
    rest: Vec<Value>,
}

impl Answer {
    /// Reads a reply; `None` for what no script of ours says.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Array(mut rest) = value else { return None };
        let Value::Int(code) = *rest.first()? else { return None };
        rest.remove(0);
        Some(Self { code: *CODES.get(usize::try_from(code).ok()?)?, rest })
    }

    pub(super) fn int(&self, index: usize) -> Option<u64> {
        match self.rest.get(index)? {
            Value::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, index: usize) -> Option<&[u8]> {
        match self.rest.get(index)? {
            Value::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }
}
