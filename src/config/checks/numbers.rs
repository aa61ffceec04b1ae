//! Numbers, sizes and durations: each has a minimum and a maximum. A time of 0 is refused, since it would expire
//! immediately; 0 means unlimited only for limits whose descriptions say so.

use std::{ops::RangeInclusive, time::Duration};

use super::super::{Size, problems::Findings, settings::Settings, units::HumanDuration};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const MILLISECOND: Duration = Duration::from_millis(1);
/// The range of timeouts.
const TIMES: RangeInclusive<Duration> = MILLISECOND..=Duration::from_secs(365 * 24 * 3_600);
/// The range of intervals: shorter ones would use all of the relay's time.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;

/// The `http` crate panics above 24,576 names, and a name over HTTP/2 takes at least 33 bytes of a head: neither limit may
/// allow that many.
const MAX_HEADER_NAMES: u64 = 10_000;
const MAX_HEADER_BYTES: u64 = 512 << 10;

pub(super) fn check(settings: &Settings, problems: &mut Findings) {
    let Settings { pairs, limits, timeouts, .. } = settings;
    for (path, value, range) in [
        ("threads", settings.threads as u64, 0..=1_024),
        ("pool_size", settings.pool_size as u64, 1..=1_000),
        ("pairs.max_per_client", pairs.max_per_client as u64, 1..=1_000_000),
        ("pairs.max_per_request", pairs.max_per_request as u64, 1..=10_000),
        ("pairs.max_per_network", pairs.max_per_network as u64, 1..=1_000_000_000),
        ("pairs.max_total", pairs.max_total as u64, 1..=1_000_000_000),
        ("limits.header_names", limits.header_names as u64, 1..=MAX_HEADER_NAMES),
        ("limits.connections", limits.connections as u64, 0..=10_000_000),
        ("limits.connections_per_network", limits.connections_per_network as u64, 0..=10_000_000),
        ("limits.pairs_per_second", limits.pairs_per_second.into(), 0..=1_000_000),
        ("limits.requests_per_second", limits.requests_per_second.into(), 0..=1_000_000),
    ] {
        count(problems, path, value, range);
    }
    for (path, value, range) in [
        ("limits.max_header_bytes", limits.max_header_bytes, 1 << 10..=MAX_HEADER_BYTES),
        ("limits.max_mte_body", limits.max_mte_body, 1..=1 << 30),
        ("limits.max_body", limits.max_body, 0..=1 << 50),
        ("limits.gathered", limits.gathered, 0..=1 << 50),
        ("log.buffer", settings.log.buffer, 64 << 10..=1 << 30),
    ] {
        size(problems, path, value, range);
    }
    for (path, value, range) in [
        ("pairs.idle_timeout", pairs.idle_timeout, TIMES),
        ("pairs.unused_timeout", pairs.unused_timeout, TIMES),
        ("pairs.max_age", pairs.max_age, TIMES),
        ("timeouts.connect", timeouts.connect, TIMES),
        ("timeouts.read", timeouts.read, TIMES),
        ("timeouts.write", timeouts.write, TIMES),
        ("timeouts.idle", timeouts.idle, TIMES),
        ("timeouts.headers", timeouts.headers, TIMES),
        ("timeouts.body", timeouts.body, TIMES),
        ("timeouts.drain", timeouts.drain, TIMES),
        ("dns_refresh", settings.dns_refresh, INTERVALS),
        ("redis_timeout", settings.redis_timeout, MILLISECOND..=Duration::from_secs(60)),
    ] {
        time(problems, path, value, range);
    }
}

/// A count.
pub(super) fn count(problems: &mut Findings, path: &str, value: u64, range: RangeInclusive<u64>) {
    let (least, most) = (range.start(), range.end());
    if value < *least {
        problems.add(path, format!("{value} is too few: must be at least {least}"));
    } else if value > *most {
        problems.add(path, format!("{value} is too many: must be at most {most}"));
    }
}

fn size(problems: &mut Findings, path: &str, value: Size, range: RangeInclusive<u64>) {
    let (least, most) = (Size(*range.start()), Size(*range.end()));
    if value.0 < least.0 {
        problems.add(path, format!("{value} is too small: must be at least {least}"));
    } else if value.0 > most.0 {
        problems.add(path, format!("{value} is too large: must be at most {most}"));
    }
}

/// Reports a time outside of [`TIMES`].
pub(super) fn timeout(problems: &mut Findings, path: &str, value: HumanDuration) {
    time(problems, path, value, TIMES);
}

/// Reports an interval outside of [`INTERVALS`].
pub(super) fn interval(problems: &mut Findings, path: &str, value: HumanDuration) {
    time(problems, path, value, INTERVALS);
}

fn time(problems: &mut Findings, path: &str, value: HumanDuration, range: RangeInclusive<Duration>) {
    let (least, most) = (HumanDuration(*range.start()), HumanDuration(*range.end()));
    if value.0.is_zero() {
        problems.add(
            path,
            format!("must not be 0, which would expire at once: write a time from {least} to {most}"),
        );
    } else if value.0 < least.0 {
        problems.add(path, format!("{value} is too short: must be at least {least}"));
    } else if value.0 > most.0 {
        problems.add(path, format!("{value} is too long: must be at most {most}"));
    }
}
