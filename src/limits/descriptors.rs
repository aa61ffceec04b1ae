//! File descriptors: a connection takes two, one to the client and one to an upstream. The process asks for as many as its
//! connections need, and serves fewer connections rather than run out: without a descriptor nothing can be accepted, resolved
//! or read, not even the operators' own requests.

use rlimit::Resource;

/// For each connection of a client: its own, and one to an upstream.
const PER_CONNECTION: u64 = 2;

/// For listeners, the admin listener, files, name resolution, health checks, and unused connections to upstreams.
const RESERVE: u64 = 768;

/// Asked for where connections have no limit.
pub const MANY: usize = 100_000;

/// Descriptors that so many connections need.
pub fn needed(connections: usize) -> u64 {
    (connections as u64).saturating_mul(PER_CONNECTION).saturating_add(RESERVE)
}

/// Raises the process's limit of descriptors, as far as it may, to what `connections` need. The number of connections that
/// there is room for; `None` if the limit is not known.
pub fn raise(connections: usize) -> Option<usize> {
    let (soft, hard) = Resource::NOFILE.get().ok()?;
    let wanted = needed(connections);
    let mut now = soft;
    if soft < wanted {
        let raised = wanted.min(hard);
        if Resource::NOFILE.set(raised, hard).is_ok() {
            now = raised;
        }
    }
    Some(room(now))
}

fn room(descriptors: u64) -> usize {
    let spare = descriptors.saturating_sub(RESERVE.min(descriptors / 2));
    usize::try_from(spare / PER_CONNECTION).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_in_reserve() {
        assert_eq!(room(1_024), 256);
        assert_eq!(room(64), 16);
        assert_eq!(room(0), 1);
        assert!(room(needed(20_000)) == 20_000);
    }

    #[test]
    fn there_is_room_for_some_connections() {
        assert!(raise(10).is_some_and(|room| room >= 10));
    }
}
