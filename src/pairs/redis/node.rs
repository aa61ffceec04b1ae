//! One Redis server: the connection to it, and what is sent over that.
//!
//! | what happens | outcome |
//! | --- | --- |
//! | no connection, and the last attempt to make one failed | not sent, at once |
//! | no reply within the deadline, or the connection is lost | unknown: it is never sent again |
//! | the server replies, if only with an error | its reply |

use std::{
    borrow::Cow,
    sync::{Arc, atomic::Ordering},
};

use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout_at},
};

use super::{
    address::Address,
    keeper::{Connection, Keeper, Link, MAX_TIMEOUTS, NodeError, Target, client},
    scripts::Scripts,
};
use crate::config;

/// Why a command has no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// It was not executed.
    NotExecuted(Cow<'static, str>),
    /// It may have been.
    Unknown(Cow<'static, str>),
}

/// What the connections to all servers have in common.
pub(super) struct Common {
    pub(super) settings: config::Redis,
    pub(super) scripts: Scripts,
    pub(super) runtime: tokio::runtime::Handle,
    /// Told when a server is of no more use: another one may have taken its place.
    pub(super) changed: Notify,
}

/// A Redis server.
pub(super) struct Node {
    pub(super) address: Address,
    link: watch::Receiver<Link>,
    /// Connections that are of no more use, by id.
    broken: mpsc::UnboundedSender<usize>,
    common: Arc<Common>,
}

impl Node {
    /// Begins to connect.
    pub(super) fn new(common: &Arc<Common>, address: Address, target: Target) -> Self {
        let (link_to, link) = watch::channel(Link::Connecting);
        let (broken, reports) = mpsc::unbounded_channel();
        match client(&common.settings, &address) {
            Ok(client) => {
                let keeper =
                    Keeper { client, target, common: common.clone(), link: link_to, broken: reports, ids: 0 };
                common.runtime.spawn(keeper.run());
            }
            Err(error) => drop(link_to.send_replace(Link::Down(NodeError::Unfit(error.to_string().into())))),
        }
        Self { address, link, broken, common: common.clone() }
    }

    /// Waits until the first attempt to connect has ended: the connection, or why there is none.
    pub(super) async fn tried(&self) -> Result<Connection, NodeError> {
        let mut link = self.link.clone();
        let state = link.wait_for(|link| !matches!(link, Link::Connecting)).await;
        match state.as_deref() {
            Ok(Link::Up(connection)) => Ok(connection.clone()),
            Ok(Link::Down(error)) => Err(error.clone()),
            _ => Err(NodeError::Unreachable("nothing connects to it".into())),
        }
    }

    /// The connection, if there is one now.
    pub(super) fn connected(&self) -> Option<Connection> {
        match &*self.link.borrow() {
            Link::Up(connection) => Some(connection.clone()),
            _ => None,
        }
    }

    /// The connection to send over. An attempt to connect that is under way is waited for.
    pub(super) async fn connection(&self, deadline: Instant) -> Result<Connection, Failed> {
        match timeout_at(deadline, self.tried()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                self.common.changed.notify_one();
                Err(Failed::NotExecuted(error.why()))
            }
            Err(_) => Err(Failed::NotExecuted("there is no connection to Redis".into())),
        }
    }

    /// A connection that is not `old`, as soon as there is one.
    pub(super) async fn connection_after(&self, old: usize, deadline: Instant) -> Result<Connection, Failed> {
        let mut link = self.link.clone();
        let other = |link: &Link| matches!(link, Link::Up(connection) if connection.id != old);
        let changed = timeout_at(deadline, link.wait_for(other)).await.ok().and_then(Result::ok);
        match changed.as_deref() {
            Some(Link::Up(connection)) => Ok(connection.clone()),
            _ => Err(Failed::NotExecuted("no Redis server takes writes".into())),
        }
    }

    /// The server's reply, an error of the server's included. `asking` tells a server of a cluster that it is asked for a slot that
    /// it is about to get.
    pub(super) async fn send(
        &self,
        connection: &Connection,
        command: &Cmd,
        asking: bool,
        deadline: Instant,
    ) -> Result<Value, Failed> {
        let mut redis = connection.redis.clone();
        let sent = async {
            if !asking {
                return redis.send_packed_command(command).await;
            }
            let mut both = Pipeline::new();
            both.cmd("ASKING").add_command(command.clone());
            let mut replies = redis.send_packed_commands(&both, 0, 2).await?;
            Ok(replies.pop().unwrap_or(Value::Nil))
        };
        match timeout_at(deadline, sent).await {
            Err(_) => {
                if connection.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_TIMEOUTS {
                    self.give_up(connection);
                }
                Err(Failed::Unknown("Redis has not replied in time".into()))
            }
            Ok(reply) => {
                connection.timeouts.store(0, Ordering::Relaxed);
                reply.or_else(|error| self.failed(connection, error))
            }
        }
    }

    fn failed(&self, connection: &Connection, error: RedisError) -> Result<Value, Failed> {
        match redis::ServerError::try_from(error) {
            Ok(error) => Ok(Value::ServerError(error)),
            Err(error) => {
                self.give_up(connection);
                Err(Failed::Unknown(format!("the connection to Redis is lost: {error}").into()))
            }
        }
    }

    /// Ends a connection; another one is made.
    pub(super) fn give_up(&self, connection: &Connection) {
        let _ = self.broken.send(connection.id);
        self.common.changed.notify_one();
    }
}
