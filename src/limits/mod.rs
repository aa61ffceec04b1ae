//! Limits on the resources that clients can use: one type for each kind. Nothing here knows HTTP, and nothing here
//! waits without a bound.
//!
//! | module | what it bounds |
//! | --- | --- |
//! | `body` | the time that a body held in memory may take |
//! | `gather` | the bytes of such bodies, in total, by tenant and by client network |
//! | `tally` | counters by key |
//! | `work` | cores spent on key exchanges, and how many wait for one |
//!
//! Rates are in [`crate::rate`], connections in `edge::connections`, pairs in [`crate::pairs`]. docs/operations.md has the
//! memory that follows from all of them.

mod body;
mod gather;
mod tally;
mod work;

pub use self::{
    body::BodyDeadline,
    gather::{BudgetFull, GatherBudget, Gathered},
    tally::{Counted, Tally},
    work::{QueueFull, WorkQueue},
};
