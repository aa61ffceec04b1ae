//! A model of the pair store in Redis (`src/pairs/redis`): one pair, two relays whose caches may be outdated, and two Redis
//! servers, of which one replicates the other with any lag. `stateright` visits every state that the [`Budget`] allows.
//!
//! | module | what it has |
//! | --- | --- |
//! | `record` | a pair's record: window, epochs, response numbers, and what a commit does to them |
//! | `server` | a Redis server: role, era, record, dump; and the scripts |
//! | `relay` | a relay: what it caches and waits for |
//! | `system` | all of them, the commands on their way, and what can happen next |
//! | `properties` | what must hold in every state |
//!
//! Sizes are small: a window of 4 numbers, 8 numbers ahead, epochs of 2 numbers, and one number for each request and response. What the model
//! leaves out: cryptography (a message opens if its pair's generation is the snapshot's, and its epoch is not before the
//! snapshot's oldest), time limits, and the owner's index. An attacker can deliver every message that the client has sealed, to any
//! relay, at any time, any number of times.

mod properties;
mod record;
mod relay;
mod server;
mod system;

pub use system::{Action, Budget, Checks, State, System};
