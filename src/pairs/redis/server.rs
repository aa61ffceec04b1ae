//! What is sent to Redis: a deadline for every command, a bound on how many wait, and at most one second attempt.
//!
//! | what happens | outcome |
//! | --- | --- |
//! | too many commands wait, or there is no connection (`node`) | not sent, at once |
//! | no reply within the deadline, or the connection is lost | unknown: it is never sent again |
//! | the server did not execute it, and says so (a replica, loading, a moved slot) | sent once more, to the server that has the slot now, within the deadline |
//! | the server refuses it | not executed |
//!
//! The `redis` crate brings the protocol and a connection that many commands share. What it has for reconnecting, for clusters
//! and for sending again is not used: it does not tell what was sent from what was not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, Value};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep_until},
};

use super::{
    address::Address,
    keeper::{Connection, NodeError, address},
    keys,
    node::{Common, Failed, Node},
    scripts::{Answer, Code, Script, Scripts},
    topology::Topology,
};
use crate::config;

/// Commands that may wait for their reply at once; more are not sent.
const MAX_WAITING: usize = 8_192;
/// Replies of a server that has not executed a command: another one, or the same a little later, will.
pub(super) const NOT_EXECUTED: [&str; 7] =
    ["MOVED", "ASK", "TRYAGAIN", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING"];
/// How long a slot that is on its way is waited for.
const MOVING: Duration = Duration::from_millis(50);

/// A Redis server, or the servers of a cluster.
pub(super) struct Server {
    common: Arc<Common>,
    topology: Arc<Topology>,
    waiting: AtomicUsize,
    runtime: Option<Runtime>,
}

/// Counts a command that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A command in both of its forms.
struct Request<'a> {
    slot: u16,
    command: Cmd,
    /// What is sent instead if the server does not know the script.
    whole: Option<&'a (dyn Fn() -> Cmd + Sync)>,
}

/// Where a command that was not executed is sent next.
enum Again {
    /// To the server that has the slot.
    Moved(Address),
    /// To the server that is about to get the slot.
    Ask(Address),
    /// To the same server, a little later.
    Later,
    /// To another server, or over another connection.
    Elsewhere,
}

impl Server {
    /// Begins to connect, on a thread of its own.
    ///
    /// # Errors
    /// Why it cannot even begin.
    pub(super) fn new(settings: &config::Redis) -> Result<Self, NodeError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("pairs")
            .enable_all()
            .build()
            .map_err(|error| NodeError::Unfit(error.to_string().into()))?;
        let address = address(settings).map_err(|error| NodeError::Unfit(error.to_string().into()))?;
        let common = Arc::new(Common {
            settings: settings.clone(),
            scripts: Scripts::new(),
            runtime: runtime.handle().clone(),
            changed: tokio::sync::Notify::new(),
        });
        let topology = Topology::new(&common, address);
        Ok(Self { common, topology, waiting: AtomicUsize::new(0), runtime: Some(runtime) })
    }

    pub(super) fn scripts(&self) -> &Scripts {
        &self.common.scripts
    }

    /// Runs something beside the commands.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.common.runtime.spawn(task);
    }

    /// Waits until every server has been tried once.
    pub(super) async fn tried(&self) -> Result<(), NodeError> {
        self.topology.tried().await
    }

    /// Runs a script on the server of its first key: one round trip, unless the server has to be told the script.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[String],
        arguments: &[&[u8]],
    ) -> Result<Answer, Failed> {
        let command = |name: &str, what: &str| {
            let mut command = redis::cmd(name);
            command.arg(what).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let whole = || command("EVAL", &script.text);
        let slot = keys.first().map_or(0, |key| keys::slot(key));
        let request = Request { slot, command: command("EVALSHA", &script.sha1), whole: Some(&whole) };
        let value = self.call(&request).await?;
        Answer::read(value).ok_or_else(|| Failed::Unknown("the reply is none of the script's".into()))
    }

    /// Runs a command that changes nothing on the server of a key.
    pub(super) async fn ask(&self, key: &str, command: Cmd) -> Result<Value, Failed> {
        self.call(&Request { slot: keys::slot(key), command, whole: None }).await
    }

    /// Runs the script that tries a server, on each of them.
    ///
    /// # Errors
    /// What the last one says if no server can be used. One that can is enough: were a relay not ready for want of one of many
    /// servers, no relay would be.
    pub(super) async fn try_all(&self) -> Result<(), Failed> {
        let mut outcome = Err(Failed::NotExecuted("there is no Redis server".into()));
        for (_, probe) in self.topology.all() {
            let keys = keys::probed(&probe);
            let tried = self.run(&self.common.scripts.probe, &keys, &[]).await;
            if outcome.is_err() {
                outcome = tried.map(drop);
            }
        }
        outcome
    }

    /// Runs a command that changes nothing on every server.
    pub(super) async fn ask_all(&self, command: &Cmd) -> Result<Vec<Value>, Failed> {
        let deadline = Instant::now() + self.common.settings.timeout;
        let mut replies = Vec::new();
        for (node, _) in self.topology.all() {
            let connection = node.connection(deadline).await?;
            replies.push(node.send(&connection, command, false, deadline).await?);
        }
        Ok(replies)
    }

    async fn call(&self, request: &Request<'_>) -> Result<Value, Failed> {
        let deadline = Instant::now() + self.common.settings.timeout;
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            return Err(Failed::NotExecuted("too many requests wait for Redis".into()));
        }
        let node = self.topology.node(request.slot, deadline).await?;
        let connection = node.connection(deadline).await?;
        let mut reply = send(&node, &connection, request, false, deadline).await?;
        if let Some(again) = again(&reply, &node.address) {
            let asking = matches!(again, Again::Ask(_));
            let (node, connection) = self.next(again, &node, connection, request.slot, deadline).await?;
            reply = send(&node, &connection, request, asking, deadline).await?;
        }
        drop(waiting);
        if is_wrong_node(&reply) {
            return Err(Failed::NotExecuted("the Redis server is a replica".into()));
        }
        match reply {
            Value::ServerError(error) => Err(Failed::NotExecuted(message_of(&error).into())),
            reply => Ok(reply),
        }
    }

    async fn next(
        &self,
        again: Again,
        node: &Arc<Node>,
        connection: Connection,
        slot: u16,
        deadline: Instant,
    ) -> Result<(Arc<Node>, Connection), Failed> {
        let other = match again {
            Again::Moved(address) | Again::Ask(address) => self.topology.at(address, slot),
            Again::Later => {
                sleep_until(deadline.min(Instant::now() + MOVING)).await;
                return Ok((node.clone(), connection));
            }
            Again::Elsewhere if self.topology.is_cluster() => {
                self.topology.node_after(node, slot, deadline).await?
            }
            Again::Elsewhere => {
                node.give_up(&connection);
                let connection = node.connection_after(connection.id, deadline).await?;
                return Ok((node.clone(), connection));
            }
        };
        let connection = other.connection(deadline).await?;
        Ok((other, connection))
    }
}

async fn send(
    node: &Node,
    connection: &Connection,
    request: &Request<'_>,
    asking: bool,
    deadline: Instant,
) -> Result<Value, Failed> {
    let reply = node.send(connection, &request.command, asking, deadline).await?;
    match request.whole {
        Some(whole) if code(&reply) == Some("NOSCRIPT") => {
            node.send(connection, &whole(), asking, deadline).await
        }
        _ => Ok(reply),
    }
}

impl Drop for Server {
    /// A runtime must not be dropped where it would have to wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn code(reply: &Value) -> Option<&str> {
    match reply {
        Value::ServerError(error) => Some(error.code()),
        _ => None,
    }
}

/// The reply of a script to which the server is a replica.
fn is_wrong_node(reply: &Value) -> bool {
    match reply {
        Value::Array(values) => values.first() == Some(&Value::Int(Code::WrongNode as i64)),
        _ => false,
    }
}

/// Where to send a command that has this reply, if it was not executed.
fn again(reply: &Value, said_by: &Address) -> Option<Again> {
    if is_wrong_node(reply) {
        return Some(Again::Elsewhere);
    }
    let Value::ServerError(error) = reply else { return None };
    // MOVED and ASK say a slot and an address.
    let address = || Address::parse(error.details()?.split_whitespace().last()?, said_by);
    match error.code() {
        "MOVED" => Some(address().map_or(Again::Elsewhere, Again::Moved)),
        "ASK" => Some(address().map_or(Again::Elsewhere, Again::Ask)),
        "TRYAGAIN" => Some(Again::Later),
        code => NOT_EXECUTED.contains(&code).then_some(Again::Elsewhere),
    }
}

fn message_of(error: &redis::ServerError) -> String {
    format!("Redis says {} {}", error.code(), error.details().unwrap_or_default())
}
