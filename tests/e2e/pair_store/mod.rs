//! The required behaviour of every pair store: one suite of cases, run against each store, with the clock and randomness
//! controlled by the test.
//!
//! | module | what it is about |
//! | --- | --- |
//! | `creation` | pairs that are stored, all or none |
//! | `numbers` | message numbers: used once, within the window, to their end |
//! | `secrets` | epochs: old secrets are removed and never restored |
//! | `room` | limits, and which pairs are evicted when there is no room |
//! | `shares` | how tenants share a full store |
//! | `time` | ages, sweeping, limits that change |
//! | `tenants` | tenants that are removed and added again |
//! | `races` | many tasks at once |
//! | `unavailable` | a store that fails and recovers |
//! | `gateway` | a relay whose store fails |
//! | `bench` | a store under test |
//! | `stores` | stores for these tests only |

mod bench;
mod creation;
mod gateway;
mod numbers;
mod races;
mod room;
mod secrets;
mod shares;
mod stores;
mod tenants;
mod time;
mod unavailable;

use std::sync::Arc;

use mte_relay::pairs::MemoryStore;

use self::stores::{BytesStore, FaultyStore};

/// Runs every case against a store. To add a store, add a line below; to add a case, add its name here.
macro_rules! every_case {
    ($make:expr => $($module:ident: $($case:ident)+;)+) => {
        $(mod $module {
            use super::*;
            $(#[test]
            fn $case() {
                crate::harness::run(crate::pair_store::$module::$case($make));
            })+
        })+
    };
}

macro_rules! suite {
    ($store:ident, $make:expr) => {
        mod $store {
            use super::*;

            every_case! { $make =>
                creation:
                    a_new_pair_begins_with_its_root_secrets_and_no_number_taken
                    a_request_with_the_id_of_a_live_pair_stores_nothing_and_names_the_pair
                    an_id_is_free_again_once_its_pair_is_dead_or_removed
                    a_pair_created_again_under_the_same_id_is_another_pair;
                numbers:
                    numbers_are_used_once_and_response_numbers_never_repeat
                    a_request_takes_all_of_its_numbers_or_none
                    the_window_reaches_511_behind_and_4096_ahead_of_the_highest_number
                    a_commit_that_is_refused_changes_nothing
                    a_commit_to_a_pair_that_was_replaced_or_removed_says_which
                    response_numbers_end_at_two_to_the_32
                    a_request_number_of_two_to_the_32_is_beyond_the_end;
                secrets:
                    concurrent_requests_leave_no_epoch_behind_although_none_supplies_the_secrets
                    secrets_supplied_by_a_request_are_used_if_they_are_newer
                    secrets_of_an_earlier_state_do_not_come_back;
                room:
                    a_client_beyond_its_limit_loses_its_own_oldest_never_used_first
                    a_client_whose_pairs_are_all_used_loses_the_least_recently_used
                    a_network_has_a_limit_of_its_own
                    a_full_store_drops_pairs_never_used_but_none_in_use
                    a_request_for_more_pairs_than_fit_evicts_no_pair_in_use;
                shares:
                    a_tenant_below_its_share_evicts_pairs_of_one_above_least_recently_used_first
                    unused_pairs_of_the_tenant_above_its_share_are_evicted_before_used_ones
                    pairs_within_a_tenants_share_are_not_evicted_for_another_tenant
                    a_third_tenant_is_served_from_the_two_that_have_more_than_a_third
                    all_pairs_of_a_request_fit_although_they_go_beyond_the_share;
                time:
                    a_pair_never_used_is_dropped_after_its_timeout
                    a_pair_that_is_used_is_kept_beyond_its_idle_timeout
                    a_pair_above_its_age_must_be_renewed_until_it_is_idle
                    a_sweep_removes_only_expired_pairs
                    changed_limits_apply_to_existing_pairs;
                tenants:
                    one_client_id_under_two_tenants_is_two_owners
                    a_removed_tenant_loses_its_pairs_and_others_keep_theirs
                    a_tenant_that_is_added_again_starts_without_pairs
                    pairs_are_counted_for_each_tenant_and_in_total;
                races:
                    of_many_tasks_that_commit_the_same_number_exactly_one_succeeds
                    tasks_with_different_numbers_all_succeed_and_get_different_response_numbers
                    of_many_tasks_that_create_the_same_id_exactly_one_succeeds
                    limits_hold_however_many_tasks_create_pairs;
            }
        }
    };
}

suite!(memory, |limits, outside| Arc::new(MemoryStore::new(limits, outside)));
suite!(bytes, |limits, outside| Arc::new(BytesStore::new(limits, outside)));
// Every reply of this one must be awaited, as with a store on the network.
suite!(memory_from_afar, |limits, outside| Arc::new(FaultyStore::over(Arc::new(MemoryStore::new(
    limits, outside
)))));
