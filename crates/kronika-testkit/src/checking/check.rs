//! The checks themselves: first what the journal holds, then what callers were told of it.

use super::{
    evidence::Evidence,
    history::{Action, Answer, Ended, Invoked, Operation},
    operation::Effects,
    violation::{Broken, Violation, Violations, story},
};
use crate::moment::Moment;
use kronika_core::{AppendId, Epoch, Position, RecordedAppend, StreamId, Timestamp, Version};
use std::collections::{BTreeMap, HashMap};

pub(super) fn check(seed: u64, invoked: &[Invoked], evidence: &Evidence) -> Result<(), Violations> {
    let mut violations = Vec::new();
    for broken in partitions(evidence) {
        violations.push(Violation { seed, stream: None, broken, story: String::new() });
    }
    let mut streams: BTreeMap<&StreamId, Vec<&Invoked>> = BTreeMap::new();
    evidence.streams.keys().for_each(|stream| drop(streams.insert(stream, Vec::new())));
    for invoked in invoked {
        streams.entry(&invoked.stream).or_default().push(invoked);
    }
    for (stream, invoked) in streams {
        let appends = evidence.streams.get(stream).map_or(&[][..], Vec::as_slice);
        let mut checks = Stream::new(&invoked, appends, evidence);
        checks.all();
        let broken = checks.broken;
        if !broken.is_empty() {
            let story = story(&invoked, appends);
            violations.extend(broken.into_iter().map(|broken| Violation {
                seed,
                stream: Some(stream.clone()),
                broken,
                story: story.clone(),
            }));
        }
    }
    violations.extend(super::snapshots::untrue(seed, evidence));
    if violations.is_empty() { Ok(()) } else { Err(Violations(violations)) }
}

/// Positions dense, time not going back, epochs of each slice rising, and the streams' events in them.
fn partitions(evidence: &Evidence) -> Vec<Broken> {
    let mut broken = Vec::new();
    for events in &evidence.partitions {
        let mut epochs: HashMap<u16, Epoch> = HashMap::new();
        let (mut before, mut time) = (Position::ZERO, Timestamp::new(i64::MIN));
        for event in events {
            let (partition, found) = (event.append.partition, event.position);
            if found != before.plus(1) {
                broken.push(Broken::Positions { partition, before, found });
            }
            if event.time() < time {
                broken.push(Broken::Time(found));
            }
            (before, time) = (found, event.time());
            let newest = epochs.entry(event.stream().slice().get()).or_default();
            if event.append.epoch < *newest {
                broken.push(Broken::Epochs { before: *newest, found: event.append.epoch });
            }
            *newest = (*newest).max(event.append.epoch);
        }
    }
    let mut by_partition =
        evidence.partitions.iter().flatten().map(|event| event.id).collect::<Vec<_>>();
    let appends = evidence.streams.values().flatten();
    let mut by_stream =
        appends.flat_map(|append| &append.events).map(|event| event.id).collect::<Vec<_>>();
    by_partition.sort();
    by_stream.sort();
    if by_partition != by_stream {
        broken.push(Broken::Disagreement);
    }
    broken
}

/// The checks of one stream.
struct Stream<'a> {
    invoked: &'a [&'a Invoked],
    appends: &'a [RecordedAppend],
    recorded_at: &'a HashMap<AppendId, Moment>,
    /// The balance at each version.
    balances: Vec<i64>,
    /// When each version was there, where that is known.
    there: Vec<Option<Moment>>,
    /// What is recorded of each operation.
    operations: HashMap<Operation, Vec<(&'a RecordedAppend, Effects)>>,
    /// What callers were told, by moment: the highest version so far.
    told: Vec<(Moment, Version)>,
    broken: Vec<Broken>,
}

impl<'a> Stream<'a> {
    fn new(
        invoked: &'a [&'a Invoked],
        appends: &'a [RecordedAppend],
        evidence: &'a Evidence,
    ) -> Self {
        Self {
            invoked,
            appends,
            recorded_at: &evidence.recorded_at,
            balances: vec![0],
            there: vec![None],
            operations: HashMap::new(),
            told: Vec::new(),
            broken: Vec::new(),
        }
    }

    fn all(&mut self) {
        self.fold();
        self.tell();
        self.recorded_as_sent();
        self.keys();
        for invoked in self.invoked {
            self.ended(invoked);
        }
    }

    fn newest(&self) -> Version {
        Version::new(self.balances.len() as u64 - 1)
    }

    /// Folds the stream, and notes what is recorded of each operation.
    fn fold(&mut self) {
        for append in self.appends {
            let (expected, found) = (append.header.expected, self.newest());
            let versions = append.events.iter().map(|event| event.version.get());
            let follow = versions.eq(expected.get() + 1..=append.version().get());
            if expected != found || !follow {
                self.broken.push(Broken::Versions { expected, found });
            }
            let effects = match Effects::of(append) {
                Ok(effects) => effects,
                Err(why) => {
                    self.broken.push(Broken::Unreadable(why));
                    continue;
                }
            };
            let at = self.recorded_at.get(&append.header.id).copied();
            for change in &effects.changes {
                let before = self.balances.last().copied().unwrap_or_default();
                self.balances.push(before + change);
                self.there.push(at);
            }
            if let Some(operation) = effects.operation {
                self.operations.entry(operation).or_default().push((append, effects));
            }
        }
    }

    /// Notes which version had been told by when.
    fn tell(&mut self) {
        let ends = self.invoked.iter().filter_map(|invoked| invoked.ended.as_ref());
        let told = ends.filter_map(|(at, ended)| match ended {
            Ended::Answered(answer) => Some((*at, answer.version)),
            _ => None,
        });
        self.told = told.collect();
        self.told.sort();
        let mut highest = Version::ZERO;
        for (_, version) in &mut self.told {
            highest = highest.max(*version);
            *version = highest;
        }
    }

    /// The highest version that anybody was told before a moment.
    fn told_before(&self, moment: Moment) -> Version {
        let before = self.told.partition_point(|(at, _)| *at < moment);
        before.checked_sub(1).map_or(Version::ZERO, |last| self.told[last].1)
    }

    /// The newest version that was there at a moment, as far as that is known.
    fn there_by(&self, moment: Moment) -> Version {
        let later = self.there.iter().position(|at| at.is_some_and(|at| at > moment));
        later.map_or(self.newest(), |later| Version::new(later as u64 - 1))
    }

    /// Each operation at most once, as it was sent, and not if it was told as not recorded.
    fn recorded_as_sent(&mut self) {
        let mut broken = Vec::new();
        for (operation, recorded) in &self.operations {
            if operation.is_strangers() {
                continue;
            }
            let mut sent = self.invoked.iter().filter(|invoked| invoked.operation == *operation);
            let Some(first) = sent.clone().next() else {
                broken.push(Broken::NeverSent(*operation));
                continue;
            };
            if recorded.len() > 1 {
                broken.push(Broken::RecordedTwice(*operation, recorded.len()));
            }
            for (append, effects) in recorded {
                if !effects.fit(first.action) {
                    let why = format!("{effects} for {:?}", first.action);
                    broken.push(Broken::RecordedOtherwise(*operation, why));
                }
                let stands_on = append.header.expected;
                let told = self.told_before(first.at);
                if stands_on < told {
                    broken.push(Broken::Stale(*operation, stands_on, told));
                }
            }
            let not_recorded = |invoked: &&Invoked| match invoked.ended {
                Some((_, Ended::Failed)) => Some("failed"),
                Some((_, Ended::Rejected { .. })) => Some("rejected"),
                _ => None,
            };
            let all = sent.clone().all(|invoked| not_recorded(invoked).is_some());
            if let Some(told) = sent.find_map(not_recorded).filter(|_| all) {
                broken.push(Broken::RecordedAfterAll(*operation, told));
            }
        }
        broken.sort_by_key(ToString::to_string);
        self.broken.extend(broken);
    }

    /// Each key is recorded once, and its repeats got the same receipt.
    fn keys(&mut self) {
        let mut recorded: BTreeMap<(&Option<String>, &str), usize> = BTreeMap::new();
        for append in self.appends {
            let Some(more) = &append.header.more else { continue };
            let Some(keyed) = &more.keyed else { continue };
            *recorded.entry((&more.origin.principal, &keyed.key)).or_default() += 1;
        }
        let twice = recorded.into_iter().filter(|(_, count)| *count > 1);
        let twice = twice.map(|((_, key), count)| Broken::KeyRecordedTwice(key.to_owned(), count));
        self.broken.extend(twice);
        let mut receipts: HashMap<&(Option<String>, String), Answer> = HashMap::new();
        for invoked in self.invoked {
            if let (Some(key), Some((_, Ended::Answered(answer)))) = (&invoked.key, &invoked.ended)
            {
                let first = receipts.entry(key).or_insert(*answer);
                if first != answer {
                    self.broken.push(Broken::ReceiptsDiffer(invoked.operation));
                }
            }
        }
    }

    /// What one sender was told is true.
    fn ended(&mut self, invoked: &Invoked) {
        let operation = invoked.operation;
        match &invoked.ended {
            None => self.broken.push(Broken::Unanswered(operation)),
            Some((at, Ended::Answered(answer))) => self.answered(invoked, *at, answer),
            Some((at, Ended::Rejected { cents })) => self.rejected(invoked, *at, *cents),
            Some((_, Ended::Failed | Ended::Unknown)) => {}
        }
    }

    fn answered(&mut self, invoked: &Invoked, at: Moment, answer: &Answer) {
        let operation = invoked.operation;
        if invoked.action.events() > 0 {
            let recorded = self.operations.get(&operation).and_then(|recorded| recorded.first());
            let Some((append, _)) = recorded else {
                self.broken.push(Broken::Lost(operation));
                return;
            };
            let (version, mark) = (append.version(), append.mark());
            let recorded_at = self.recorded_at.get(&append.header.id);
            if answer.version != version {
                self.broken.push(Broken::WrongVersion(operation, answer.version, version));
            }
            if answer.mark.is_some() && answer.mark != mark {
                self.broken.push(Broken::WrongToken(operation));
            }
            if recorded_at.is_some_and(|recorded_at| *recorded_at > at) {
                self.broken.push(Broken::ToldTooEarly(operation));
            }
        } else {
            self.not_stale(invoked, answer.version);
            let there = self.there_by(at);
            if answer.version > there {
                self.broken.push(Broken::NotThere(operation, answer.version, there));
                return;
            }
        }
        match self.balances.get(answer.version.get() as usize) {
            None => {
                let newest = self.newest();
                self.broken.push(Broken::NotThere(operation, answer.version, newest));
            }
            Some(balance) if *balance != answer.cents => {
                let (cents, version) = (answer.cents, answer.version);
                self.broken.push(Broken::WrongReply(operation, cents, version, *balance));
            }
            Some(_) => {}
        }
    }

    /// A read saw all that anybody had been told before it was sent. Of repeats under a key, the first counts.
    fn not_stale(&mut self, invoked: &Invoked, version: Version) {
        let sent = self.invoked.iter().filter(|other| other.operation == invoked.operation);
        let first = sent.map(|invoked| invoked.at).min().unwrap_or(invoked.at);
        let told = self.told_before(first);
        if version < told {
            self.broken.push(Broken::Stale(invoked.operation, version, told));
        }
    }

    fn rejected(&mut self, invoked: &Invoked, at: Moment, cents: i64) {
        let operation = invoked.operation;
        match invoked.action {
            Action::Withdraw { cents: wanted } if cents < i64::from(wanted) => {}
            _ => self.broken.push(Broken::NeedlessRejection(operation, cents)),
        }
        let (first, last) = (self.told_before(invoked.at), self.there_by(at));
        let states = first.get()..=last.get();
        let balance = |version: u64| self.balances.get(version as usize).copied();
        if !states.into_iter().any(|version| balance(version) == Some(cents)) {
            self.broken.push(Broken::ImpossibleRejection(operation, cents, first, last));
        }
    }
}
