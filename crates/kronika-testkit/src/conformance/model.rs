//! Random operations on a journal and on a model of it: every answer must be the same.
//!
//! The model is as plain as can be: a list for each stream, the epochs, the chains.

use super::{MakeJournal, bed::*};
use kronika_core::{
    Append, AppendError, AppendId, Chains, Epoch, Journal, Loading, SliceRange, StreamId, Version,
};
use std::collections::BTreeMap;

const OPERATIONS: usize = 400;
const SEEDS: u64 = 3;

/// What is recorded of each stream: ids with the numbers of events.
#[derive(Default)]
struct Model {
    streams: BTreeMap<StreamId, Vec<(AppendId, usize)>>,
    events: usize,
    chains: Chains,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Recorded(u64),
    Conflict(u64),
    Fenced,
    Predecessor,
}

impl Model {
    fn version(&self, stream: &StreamId) -> u64 {
        let appends = self.streams.get(stream);
        appends.map_or(0, |appends| appends.iter().map(|(_, events)| *events as u64).sum())
    }

    fn append(&mut self, append: &Append, epoch: Epoch) -> Expected {
        let newest = self.version(&append.stream);
        let expected = if append.epoch < epoch {
            Expected::Fenced
        } else if !self.chains.admits(&append.stream, append.loading) {
            Expected::Predecessor
        } else if append.expected.get() != newest {
            Expected::Conflict(newest)
        } else {
            let appends = self.streams.entry(append.stream.clone()).or_default();
            appends.push((append.id, append.events.len()));
            self.events += append.events.len();
            Expected::Recorded(newest + append.events.len() as u64)
        };
        if !matches!(expected, Expected::Recorded(_)) {
            self.chains.broke(&append.stream, append.loading);
        }
        expected
    }
}

fn came(result: &Result<kronika_core::Committed, AppendError>) -> Expected {
    match result {
        Ok(committed) => Expected::Recorded(committed.version.get()),
        Err(AppendError::Conflict { found, .. }) => Expected::Conflict(found.get()),
        Err(AppendError::Fenced { .. }) => Expected::Fenced,
        Err(AppendError::Predecessor) => Expected::Predecessor,
        Err(other) => panic!("nothing was injected, but came: {other}"),
    }
}

pub(super) async fn random_operations_agree_with_a_model<M: MakeJournal>(make: &M) {
    for seed in 0..SEEDS {
        run(make, seed).await;
    }
}

async fn run<M: MakeJournal>(make: &M, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bed = Bed::new(make).await;
    let mut model = Model::default();
    let (streams, mut loadings) = (streams(4), 1);
    let mut flying = Vec::new();
    for _ in 0..OPERATIONS {
        match random.u8(0..100) {
            0..=79 => {
                let appends = (0..random.usize(1..4)).map(|_| {
                    let stream = random.choice(&streams).expect("there are some");
                    let mut append = bed.append(stream, 0, random.usize(0..3));
                    loadings += u64::from(random.u8(0..4) == 0);
                    append.loading = Loading::new(loadings - random.u64(0..2).min(loadings));
                    let old = random.u8(0..20) == 0;
                    append.epoch = Epoch::new(bed.epoch.get() - u64::from(old));
                    append
                });
                let mut group = appends.collect::<Vec<_>>();
                let mut expected = Vec::new();
                for append in &mut group {
                    let stale = u64::from(random.u8(0..8) == 0);
                    append.expected = Version::new(model.version(&append.stream) + stale);
                    expected.push(model.append(append, bed.epoch));
                }
                flying.push((bed.journal.append(group), expected));
            }
            80..=93 => settle(&mut flying, seed).await,
            94..=97 => {
                settle(&mut flying, seed).await;
                let held = Some(bed.epoch);
                let claimed = bed.journal.claim(SliceRange::ALL, held).await;
                bed.epoch = claimed.expect("it is held").epoch;
            }
            _ => {
                settle(&mut flying, seed).await;
                bed = bed.reopened().await;
                model.chains = Chains::default();
            }
        }
    }
    settle(&mut flying, seed).await;
    let recorded = bed.all().await;
    assert_eq!(recorded.len(), model.events, "seed {seed}");
    for stream in &streams {
        let read = bed.read(stream).await;
        let read = read.iter().map(|append| (append.header.id, append.events.len()));
        let wanted = model.streams.get(stream).cloned().unwrap_or_default();
        assert_eq!(read.collect::<Vec<_>>(), wanted, "seed {seed}: {stream}");
    }
}

async fn settle<F: Future<Output = Vec<kronika_core::Appended>>>(
    flying: &mut Vec<(F, Vec<Expected>)>,
    seed: u64,
) {
    for (group, expected) in std::mem::take(flying) {
        let results = group.await;
        let came = results.iter().map(came).collect::<Vec<_>>();
        assert_eq!(came, expected, "seed {seed}");
    }
}
