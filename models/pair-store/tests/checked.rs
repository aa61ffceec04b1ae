//! Every state within a few budgets: all properties hold with the checks, and none of the checks can be left out.

use mte_model_pair_store::{Budget, Checks, System};
use stateright::{Checker, HasDiscoveries, Model};

const ONCE: &str = "a number reaches the upstream once, over all primaries";

/// The numbers 0 and 1 share an epoch; 7 is as far ahead as a new pair allows, and leaves both behind.
fn system(checks: Checks, budget: Budget) -> System {
    System { checks, budget, numbers: vec![0, 1, 7] }
}

/// Servers that are promoted and demoted, with any lag; commands that are late.
const FAILOVER: Budget = Budget {
    deliveries: 3,
    duplicates: 0,
    promotions: 2,
    demotions: 1,
    saves: 0,
    restarts: 0,
    crashes: 0,
    timeouts: 0,
    renewals: 0,
};

/// Servers that start again from an old dump.
const RESTART: Budget = Budget { promotions: 1, demotions: 0, saves: 1, restarts: 1, ..FAILOVER };

/// Pairs that are made again while relays remember the old ones.
const RENEWAL: Budget = Budget { promotions: 0, demotions: 0, renewals: 1, ..FAILOVER };

/// Commands that are executed twice, replies that are not waited for, and a relay that dies.
const NETWORK: Budget =
    Budget { deliveries: 2, promotions: 1, demotions: 0, duplicates: 1, crashes: 1, timeouts: 1, ..FAILOVER };

fn check(name: &str, budget: Budget) {
    let checker = system(Checks::ALL, budget).checker().threads(2).spawn_bfs().join();
    eprintln!("{name}: {} states, {} of them different", checker.state_count(), checker.unique_state_count());
    for (property, path) in checker.discoveries() {
        let is_wanted = ["two requests are served", "a pair is lost", "the window leaves numbers behind"];
        assert!(is_wanted.contains(&property), "{name}: {property} does not hold: {path}");
    }
    assert!(checker.unique_state_count() > 10_000, "{name} has hardly been checked");
}

/// Asserts that something goes wrong without one of the checks.
fn goes_wrong(without: Checks, budget: Budget) {
    let model = system(without, budget);
    let checker = model.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let path = checker.discovery(ONCE).unwrap_or_else(|| panic!("nothing goes wrong with {without:?}"));
    eprintln!("{without:?}: {} steps", path.into_actions().len());
}

#[test]
fn promotions_and_demotions_accept_no_number_twice() {
    check("failover", FAILOVER);
}

#[test]
fn restarts_from_old_dumps_accept_no_number_twice() {
    check("restart", RESTART);
}

#[test]
fn pairs_made_again_accept_no_number_twice() {
    check("renewal", RENEWAL);
}

#[test]
fn late_and_doubled_commands_and_crashes_accept_no_number_twice() {
    check("network", NETWORK);
}

#[test]
fn without_the_check_of_the_era_a_number_is_accepted_twice() {
    for budget in [FAILOVER, RESTART] {
        goes_wrong(Checks { era: false, ..Checks::ALL }, budget);
    }
}

#[test]
fn without_the_check_of_the_role_a_number_is_accepted_twice() {
    goes_wrong(Checks { role: false, ..Checks::ALL }, FAILOVER);
}

#[test]
fn without_the_check_of_the_generation_a_number_is_accepted_twice() {
    goes_wrong(Checks { generation: false, ..Checks::ALL }, RENEWAL);
}
