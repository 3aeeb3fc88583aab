//! A log filled with deposits, each an append of its own to a random account.

use super::{
    Fault,
    ledger::{Account, Deposit, account},
};
use bytes::Bytes;
use kronika::{Aggregate, Event, Log, LogSettings, Token};
use kronika_core::{
    Append, AppendId, Epoch, Journal, Loading, NewEvent, PartitionId, StreamId, Version,
};
use std::path::Path;

/// Appends in one durable call.
const GROUP: u64 = 2_000;

/// A log, and what is in it.
pub struct Filled {
    /// The log.
    pub log: Log,
    /// Its events.
    pub events: u64,
    /// What has seen all of them.
    pub head: Token,
}

impl Filled {
    /// Opens a log and fills it with so many deposits to so many accounts.
    pub async fn with(directory: &Path, events: u64, accounts: u32) -> Result<Self, Fault> {
        let log = Log::open(&directory.join("journal"), LogSettings::default())?;
        let stream = |number| StreamId::new(Account::TYPE, &account(number));
        let streams = (0..accounts).map(stream).collect::<Result<Vec<_>, _>>()?;
        let mut versions = vec![0; streams.len()];
        let mut random = fastrand::Rng::with_seed(1);
        let mut left = events;
        while left > 0 {
            let count = left.min(GROUP);
            let group = (0..count).map(|_| {
                let number = random.usize(..streams.len());
                versions[number] += 1;
                append(&streams[number], versions[number] - 1, &mut random)
            });
            let group = group.collect::<Result<Vec<_>, Fault>>()?;
            for appended in log.append(group).await {
                appended?;
            }
            left -= count;
        }
        let head = log.head(PartitionId::default()).await?;
        Ok(Self { head: Token::of(log.incarnation(), head), log, events })
    }
}

fn append(stream: &StreamId, version: u64, random: &mut fastrand::Rng) -> Result<Append, Fault> {
    let event = Deposit::some(random).event();
    let mut body = Vec::new();
    event.encode(&mut body)?;
    let (kind, body) = (event.kind(), Bytes::from(body));
    Ok(Append {
        id: AppendId::new(random.u128(..)),
        stream: stream.clone(),
        expected: Version::new(version),
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: vec![NewEvent {
            name: kind.name.into(),
            schema: kind.schema,
            body,
            ..NewEvent::default()
        }],
        command: "deposit".into(),
        more: None,
    })
}
