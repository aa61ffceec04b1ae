//! The table of failures, compared with the documents.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::*;

const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

/// One failure of each kind.
fn kinds() -> Vec<Failure> {
    let text = || "x".to_owned();
    let kinds = vec![
        Failure::UnknownHost(text()),
        Failure::Misdirected(text()),
        Failure::BadRequest("x".into()),
        Failure::BadPairing(mte_protocol::pairing::parse_request(b"{}", 1).unwrap_err()),
        Failure::NotFound,
        Failure::MethodNotAllowed("GET".into()),
        Failure::PairExists(0),
        Failure::TooLarge { what: "x", limit: 1 },
        Failure::HeadersTooLarge { size: 2, limit: 1 },
        Failure::TooManyHeaders { limit: 1 },
        Failure::TooManyPairs { retry_after: 1 },
        Failure::TooManyRequests { retry_after: 1 },
        Failure::StoreFull,
        Failure::StoreUnavailable(Unavailable { reason: "x".into() }),
        Failure::NetworkFull,
        Failure::Overloaded(Overload::Gathered),
        Failure::decode("its reason"),
        Failure::NoUpstream(text()),
        Failure::LateBody(OpenError::Truncated.into()),
        Failure::AnsweredEarly,
        Failure::BadGateway(text()),
        Failure::GatewayTimeout(text()),
        Failure::OutboundToken,
        Failure::PeerNotAllowed(text()),
        Failure::Upgrade,
        Failure::Loop,
        Failure::PeerUnreachable(text()),
        Failure::PeerRefused { status: 413, may_have_run: false, why: text() },
        Failure::PeerFailed(text()),
        Failure::PeerTimeout(text()),
        Failure::ClientClosed(text()),
        Failure::ClientTimeout(text()),
        Failure::RequestTimeout,
        Failure::Internal(text()),
    ];
    let (_, declared) = include_str!("mod.rs").split_once("pub enum Failure {\n").unwrap();
    let (declared, _) = declared.split_once("\n}").unwrap();
    let is_variant = |line: &&str| {
        line.strip_prefix("    ").is_some_and(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let listed: HashSet<_> = kinds.iter().map(std::mem::discriminant).collect();
    assert_eq!(listed.len(), declared.lines().filter(is_variant).count(), "a kind is not listed here");
    kinds
}

/// One failure of each line of the table, and of each label that one of 559 to 569 has.
fn all() -> Vec<Failure> {
    let mut all = kinds();
    all.extend([Overload::KeyExchanges, Overload::Requests].map(Failure::Overloaded));
    all.extend(Status::all().iter().map(|status| Failure::relay(*status, "its reason")));
    all.extend(
        [
            OpenError::Number(WindowError::Replayed),
            OpenError::Number(WindowError::OutOfWindow),
            OpenError::NotAuthentic,
            OpenError::OutOfPlace,
            OpenError::Truncated,
        ]
        .map(Failure::from),
    );
    all.push(RequestError::Pair(PairError::Lost).into());
    all
}

/// The first two cells of a table's rows.
fn rows(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.filter_map(|(first, rest)| Some((first, rest.split(" | ").next()?)))
}

/// Names in backticks.
fn causes(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('`').skip(1).step_by(2)
}

/// The causes of docs/operations.md with the cell of their status.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let (_, section) = OPERATIONS.split_once("\n## Why a request was refused\n").unwrap();
    let (section, _) = section.split_once("\nCauses before there is a request").unwrap();
    rows(section).flat_map(|(cell, status)| causes(cell).map(move |cause| (cause, status))).collect()
}

#[test]
fn every_failure_is_documented_with_its_status_and_nothing_else_is() {
    let documented = documented();
    let mut causes = BTreeSet::new();
    for failure in all() {
        let cause = failure.cause();
        let cell = documented.get(cause).unwrap_or_else(|| panic!("{cause} is not in docs/operations.md"));
        // No client ever gets a status for these two.
        let unanswered = matches!(failure, Failure::AnsweredEarly | Failure::ClientTimeout(_));
        let status = failure.status().to_string();
        assert_eq!(cell.split([',', ' ']).any(|one| one == status), !unanswered, "{cause}: {cell}");
        causes.insert(cause);
    }
    assert_eq!(causes, documented.into_keys().collect());
}

#[test]
fn the_level_of_each_failure_is_the_documented_one() {
    let (_, text) = OPERATIONS.split_once("line is `warning` if").unwrap();
    let (warnings, text) = text.split_once("`error` for").unwrap();
    let (errors, _) = text.split_once("`info` if").unwrap();
    let at = |level: log::Level| {
        let failures = all().into_iter().filter(move |failure| failure.level() == level);
        failures.map(|failure| failure.cause()).collect::<BTreeSet<_>>()
    };
    assert_eq!(at(log::Level::Warn), causes(warnings).collect());
    assert_eq!(at(log::Level::Error), causes(errors).collect());
}

#[test]
fn the_statuses_of_http_that_the_protocol_names_are_those_of_the_table() {
    let own = |failure: &Failure| matches!(failure, Failure::Relay { .. });
    let used: BTreeSet<_> = all().iter().filter(|failure| !own(failure)).map(Failure::status).collect();
    let (named, _) = rows(PROTOCOL).find(|(first, _)| first.starts_with("400, ")).unwrap();
    assert_eq!(named.split(", ").map(|status| status.parse().unwrap()).collect::<BTreeSet<u16>>(), used);
}

#[test]
fn no_client_learns_why_a_decode_failed() {
    let reason = |failure: &Failure| match failure {
        Failure::Relay { reason, .. } => Some(reason.to_string()),
        Failure::LateBody(error) => Some(error.reason().to_owned()),
        _ => None,
    };
    for failure in all() {
        let reason = reason(&failure);
        assert_eq!(failure.is_codec(), reason.is_some(), "{failure}");
        if let Some(reason) = reason {
            assert!(failure.to_string().ends_with(&reason), "{failure}");
            assert!(!failure.client_text().contains(&reason), "{failure}");
        }
    }
}

#[test]
fn what_cuts_a_response_that_has_begun_is_named_after_that() {
    let failure = Failure::BadGateway("reset".into());
    assert_eq!((failure.cause_of_end(502), failure.cause_of_end(200)), ("bad_gateway", "upstream_closed"));
    assert_eq!(Failure::NotFound.cause_of_end(200), "no_route");
}
