//! A Redis server, and the scripts that it runs.

use crate::{
    record::{Era, Generation, Record},
    system::Checks,
};

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Primary,
    /// It follows the other server.
    Replica,
}

/// A server. A replica takes writes of scripts here (`replica-read-only no`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) role: Role,
    /// The id of its replication history.
    pub(crate) era: Era,
    pub(crate) record: Option<Record>,
    /// What it has saved to disk.
    pub(crate) dump: Option<Record>,
}

/// What the script of a commit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The response number, and the record after the commit.
    Ok(u8, Record),
    /// The server is a replica, and did nothing.
    WrongNode,
    /// The number is spent or too far ahead.
    Refused,
    /// There is no such pair any longer.
    Lost,
}

impl Server {
    /// The record, if this server may say that it is the pair.
    pub(crate) fn standing(&mut self, checks: &Checks) -> Result<Record, Said> {
        if checks.role && self.role == Role::Replica {
            return Err(Said::WrongNode);
        }
        let record = self.record.ok_or(Said::Lost)?;
        if checks.era && record.era != self.era {
            self.record = None;
            return Err(Said::Lost);
        }
        Ok(record)
    }

    /// Runs the script of a commit.
    pub(crate) fn commit(&mut self, checks: &Checks, generation: Generation, number: u8, oldest: u8) -> Said {
        let mut record = match self.standing(checks) {
            Ok(record) => record,
            Err(said) => return said,
        };
        if checks.generation && record.generation != generation {
            return Said::Lost;
        }
        match record.commit(number, oldest) {
            None => Said::Refused,
            Some(response) => {
                self.record = Some(record);
                Said::Ok(response, record)
            }
        }
    }
}
