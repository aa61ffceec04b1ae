//! Two relays, two servers, the commands on their way, and what can happen next.

use stateright::{Model, Property};

use crate::{
    properties,
    record::{Era, Generation, Progress, Record, epoch_of},
    relay::{Cached, Relay},
    server::{Role, Said, Server},
};

/// Which of the checks the scripts make. Without any one of them, something must go wrong.
#[derive(Debug, Clone, Copy)]
pub struct Checks {
    /// A record of another era is lost.
    pub era: bool,
    /// A replica does nothing.
    pub role: bool,
    /// A commit for another generation is refused.
    pub generation: bool,
}

impl Checks {
    /// All of them, as the scripts do.
    pub const ALL: Self = Self { era: true, role: true, generation: true };
}

/// How often each thing may happen. It bounds the states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Messages that arrive at a relay.
    pub deliveries: u8,
    /// Commands that are executed a second time.
    pub duplicates: u8,
    /// Replicas that become primaries.
    pub promotions: u8,
    /// Primaries that become replicas.
    pub demotions: u8,
    /// Dumps to disk.
    pub saves: u8,
    /// Servers that start again from their dump.
    pub restarts: u8,
    /// Relays that die, and start again.
    pub crashes: u8,
    /// Replies that come too late.
    pub timeouts: u8,
    /// Pairs that end, and are made again under the same id.
    pub renewals: u8,
}

/// A commit on its way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Command {
    pub(crate) id: u8,
    relay: usize,
    server: usize,
    generation: Generation,
    number: u8,
    oldest: u8,
    /// It was sent a second time, as the first server was a replica.
    again: bool,
    duplicated: bool,
}

/// A request that reached the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Contact {
    pub(crate) command: u8,
    pub(crate) generation: Generation,
    pub(crate) number: u8,
    pub(crate) response: u8,
}

/// The whole system at one moment, and what has happened so far as far as properties ask for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) servers: [Server; 2],
    relays: [Relay; 2],
    network: Vec<Command>,
    pub(crate) contacts: Vec<Contact>,
    /// The commands that were executed.
    pub(crate) executed: Vec<u8>,
    /// The last progress of each pair in each era, and whether it ever fell.
    progress: Vec<((Generation, Era), Progress)>,
    pub(crate) fell: bool,
    /// The most refreshes that one request took.
    pub(crate) refreshes: u8,
    pub(crate) lost: bool,
    next_era: Era,
    pub(crate) generations: Generation,
    next_command: u8,
    left: Budget,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A message arrives at a relay, which asks a server.
    Deliver {
        /// The relay.
        relay: usize,
        /// The server that it asks.
        server: usize,
        /// The generation of the pair that the message was sealed with.
        generation: u8,
        /// The message's number.
        number: u8,
    },
    /// A server executes the command at a place of the network; a copy of it may remain.
    Execute {
        /// The place.
        at: usize,
        /// Whether a copy remains.
        copy: bool,
    },
    /// A relay no longer waits for the reply to this command.
    Timeout {
        /// The place of the command.
        at: usize,
    },
    /// A replica gets the record of its primary.
    Replicate {
        /// The replica.
        server: usize,
    },
    /// A replica becomes a primary.
    Promote {
        /// The replica.
        server: usize,
    },
    /// A primary becomes a replica of the other server.
    Demote {
        /// The primary.
        server: usize,
    },
    /// A server writes its dump.
    Save {
        /// The server.
        server: usize,
    },
    /// A server starts again from its dump, as a primary.
    Restart {
        /// The server.
        server: usize,
    },
    /// A relay dies, and starts again.
    Crash {
        /// The relay.
        relay: usize,
    },
    /// The pair ends, if it is there, and is made again under the same id.
    Renew {
        /// The server that has it then.
        server: usize,
    },
}

/// The model.
#[derive(Debug, Clone)]
pub struct System {
    /// The checks that the scripts make.
    pub checks: Checks,
    /// How often each thing may happen.
    pub budget: Budget,
    /// The numbers of the requests that the client has sealed with each pair.
    pub numbers: Vec<u8>,
}

impl State {
    fn fresh_era(&mut self) -> Era {
        self.next_era += 1;
        self.next_era
    }

    /// The pair as a server has it, for a relay.
    fn read(&mut self, checks: &Checks, server: usize) -> Option<Cached> {
        let read = self.servers[server].standing(checks);
        self.lost |= read == Err(Said::Lost);
        read.ok().map(Cached::of)
    }

    /// The snapshot that a message opens with: as cached, or read from a server, at most once.
    fn open(
        &mut self,
        checks: &Checks,
        relay: usize,
        server: usize,
        generation: Generation,
        number: u8,
    ) -> Option<Cached> {
        let opens =
            |cached: &Cached| cached.generation == generation && epoch_of(number) >= cached.progress.oldest;
        let mut refreshes = 0;
        let mut known = self.relays[relay].cached;
        if !known.as_ref().is_some_and(opens) {
            refreshes += 1;
            known = self.read(checks, server);
            self.relays[relay].cached = known;
        }
        self.refreshes = self.refreshes.max(refreshes);
        // A number that was taken once stays taken.
        known.filter(|known| opens(known) && !known.spent.is_spent(number))
    }

    fn deliver(&mut self, checks: &Checks, relay: usize, server: usize, generation: Generation, number: u8) {
        let Some(known) = self.open(checks, relay, server, generation, number) else { return };
        let oldest = known.oldest_after(number);
        self.next_command += 1;
        let id = self.next_command;
        self.relays[relay].waiting.push(id);
        let command =
            Command { id, relay, server, generation, number, oldest, again: false, duplicated: false };
        self.send(command);
    }

    fn send(&mut self, command: Command) {
        self.network.push(command);
        self.network.sort_unstable();
    }

    fn execute(&mut self, checks: &Checks, command: Command) {
        let Command { id, relay, server, generation, number, oldest, again, .. } = command;
        let waits = self.relays[relay].waiting.contains(&id);
        match self.servers[server].commit(checks, generation, number, oldest) {
            Said::WrongNode if waits && !again => {
                return self.send(Command { server: 1 - server, again: true, ..command });
            }
            Said::Ok(response, record) => {
                self.executed.push(id);
                self.note(record);
                if waits {
                    self.contacts.push(Contact { command: id, generation, number, response });
                    self.contacts.sort_unstable();
                    self.relays[relay].cached = Some(Cached::of(record));
                }
            }
            Said::Lost => {
                self.lost = true;
                if waits {
                    self.relays[relay].cached = None;
                }
            }
            Said::Refused | Said::WrongNode => {}
        }
        self.relays[relay].waiting.retain(|waiting| *waiting != id);
    }

    /// Takes note of a pair's progress.
    fn note(&mut self, record: Record) {
        let key = (record.generation, record.era);
        match self.progress.iter_mut().find(|(noted, _)| *noted == key) {
            Some((_, before)) => {
                self.fell |= !record.progress.reaches(before);
                *before = record.progress;
            }
            None => self.progress.push((key, record.progress)),
        }
        self.progress.sort_unstable();
    }

    fn renew(&mut self, server: usize) {
        self.generations += 1;
        let server = &mut self.servers[server];
        server.record = Some(Record::new(self.generations, server.era));
    }

    fn replicate(&mut self, server: usize) {
        let primary = &self.servers[1 - server];
        let (record, era) = (primary.record, primary.era);
        let replica = &mut self.servers[server];
        (replica.record, replica.era) = (record, era);
    }
}

/// Takes one of what is left.
fn spend(left: &mut u8) -> Option<()> {
    *left = left.checked_sub(1)?;
    Some(())
}

impl Model for System {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let record = Some(Record::new(1, 1));
        let server = |role| Server { role, era: 1, record, dump: None };
        vec![State {
            servers: [server(Role::Primary), server(Role::Replica)],
            relays: Default::default(),
            network: Vec::new(),
            contacts: Vec::new(),
            executed: Vec::new(),
            progress: Vec::new(),
            fell: false,
            refreshes: 0,
            lost: false,
            next_era: 1,
            generations: 1,
            next_command: 0,
            left: self.budget,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        for relay in 0..2 {
            if left.deliveries > 0 {
                for generation in 1..=state.generations {
                    for (server, number) in
                        (0..2).flat_map(|server| self.numbers.iter().map(move |n| (server, *n)))
                    {
                        actions.push(Action::Deliver { relay, server, generation, number });
                    }
                }
            }
            if left.crashes > 0 {
                actions.push(Action::Crash { relay });
            }
        }
        for (at, command) in state.network.iter().enumerate() {
            actions.push(Action::Execute { at, copy: false });
            if left.duplicates > 0 && !command.duplicated {
                actions.push(Action::Execute { at, copy: true });
            }
            if left.timeouts > 0 && state.relays[command.relay].waiting.contains(&command.id) {
                actions.push(Action::Timeout { at });
            }
        }
        for (server, now) in state.servers.iter().enumerate() {
            let possible = match now.role {
                Role::Replica => {
                    [(true, Action::Replicate { server }), (left.promotions > 0, Action::Promote { server })]
                }
                Role::Primary => [
                    (left.demotions > 0, Action::Demote { server }),
                    (left.renewals > 0, Action::Renew { server }),
                ],
            };
            let always = [
                (left.saves > 0 && now.dump != now.record, Action::Save { server }),
                (left.restarts > 0, Action::Restart { server }),
            ];
            let possible = possible.into_iter().chain(always);
            actions.extend(possible.filter(|(possible, _)| *possible).map(|(_, action)| action));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Deliver { relay, server, generation, number } => {
                spend(&mut state.left.deliveries)?;
                state.deliver(&self.checks, relay, server, generation, number);
            }
            Action::Execute { at, copy } => {
                let command = state.network.remove(at);
                if copy {
                    spend(&mut state.left.duplicates)?;
                    state.send(Command { duplicated: true, ..command });
                }
                state.execute(&self.checks, command);
            }
            Action::Timeout { at } => {
                spend(&mut state.left.timeouts)?;
                let Command { relay, id, .. } = state.network[at];
                state.relays[relay].waiting.retain(|waiting| *waiting != id);
            }
            Action::Replicate { server } => state.replicate(server),
            Action::Promote { server } => {
                spend(&mut state.left.promotions)?;
                state.servers[server].role = Role::Primary;
                state.servers[server].era = state.fresh_era();
            }
            Action::Demote { server } => {
                spend(&mut state.left.demotions)?;
                state.servers[server].role = Role::Replica;
            }
            Action::Save { server } => {
                spend(&mut state.left.saves)?;
                state.servers[server].dump = state.servers[server].record;
            }
            Action::Restart { server } => {
                spend(&mut state.left.restarts)?;
                let era = state.fresh_era();
                let server = &mut state.servers[server];
                (server.role, server.era, server.record) = (Role::Primary, era, server.dump);
            }
            Action::Crash { relay } => {
                spend(&mut state.left.crashes)?;
                state.relays[relay] = Relay::default();
            }
            Action::Renew { server } => {
                spend(&mut state.left.renewals)?;
                state.renew(server);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
