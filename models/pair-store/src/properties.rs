//! What must hold in every state, and what must be possible, so that the former says something.

use stateright::Property;

use crate::{
    record::oldest_epoch,
    system::{Contact, State, System},
};

pub(crate) fn all() -> Vec<Property<System>> {
    vec![
        Property::always("a number reaches the upstream once, over all primaries", |_, state: &State| {
            distinct(&state.contacts, |contact| (contact.generation, contact.number))
        }),
        Property::always("a response number is used once", |_, state: &State| {
            distinct(&state.contacts, |contact| (contact.generation, contact.response))
        }),
        Property::always("every contact has a commit of its own", |_, state: &State| {
            distinct(&state.contacts, |contact| contact.command)
                && state.contacts.iter().all(|contact| state.executed.contains(&contact.command))
        }),
        Property::always("nothing of a pair falls within an era", |_, state: &State| !state.fell),
        Property::always("no stored secret is older than its window", |_, state: &State| {
            let records = state.servers.iter().filter_map(|server| server.record);
            records.into_iter().all(|record| record.progress.oldest == oldest_epoch(record.progress.end))
        }),
        Property::always("a request takes at most one refresh", |_, state: &State| state.refreshes <= 1),
        Property::sometimes("two requests are served", |_, state: &State| state.contacts.len() >= 2),
        Property::sometimes("a pair is lost", |_, state: &State| state.lost),
        Property::sometimes("the window leaves numbers behind", |_, state: &State| {
            state.servers.iter().any(|server| server.record.is_some_and(|record| record.progress.oldest > 0))
        }),
    ]
}

/// Whether no two contacts have the same in common.
fn distinct<K: Ord>(contacts: &[Contact], key: impl Fn(&Contact) -> K) -> bool {
    let mut keys: Vec<K> = contacts.iter().map(key).collect();
    keys.sort_unstable();
    keys.windows(2).all(|two| two[0] != two[1])
}
