//! Changes of a journal's files: what disks do to them, and what somebody does who can make checks that fit.

use super::{Input, image::DIRECTORY};
use crate::{
    SimulatedDisk,
    format::{COMMIT_HEADER_BYTES, FIRST_COMMIT, HEAD_BYTES, Seal, UNIT_BYTES},
    recover::HEAD_FILE,
};
use std::path::PathBuf;

/// A file grows to so many bytes at most.
const FILE_BYTES_MAX: usize = 64 << 10;
const FIRST: usize = FIRST_COMMIT as usize;

/// How far checks are made to fit after the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgery {
    /// Not at all: this is what a disk does.
    None,
    /// Every check.
    Checks,
    /// Every check, and numbers, positions and lengths that continue each other.
    Chain,
}

/// The files of a journal, by name.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) paths: Vec<PathBuf>,
    pub(super) contents: Vec<Vec<u8>>,
}

impl Files {
    pub(super) fn of(disk: &SimulatedDisk) -> Self {
        let mut paths = disk.files();
        paths.retain(|path| path.starts_with(DIRECTORY));
        let contents = paths.iter().map(|path| disk.contents(path)).collect();
        Self { paths, contents }
    }

    /// The log itself; what follows from sound segments may be made anew before damage is found.
    pub(super) fn log(&self) -> impl Iterator<Item = (&PathBuf, &Vec<u8>)> {
        let derived = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("footer" | "run" | "making"))
        };
        self.paths.iter().zip(&self.contents).filter(move |(path, _)| !derived(path))
    }

    /// Puts them on a disk that holds files of these names; but for empty ones, which are removed.
    pub(super) fn put(&self, disk: &SimulatedDisk) {
        for (path, bytes) in self.paths.iter().zip(&self.contents) {
            if bytes.is_empty() { disk.lose(path) } else { disk.replace(path, bytes) }
        }
    }

    /// Makes one change that the input chooses.
    pub(super) fn change(&mut self, input: &mut Input<'_>) {
        let (kind, chosen) = (input.u8(), usize::from(input.u8()) % self.contents.len());
        if kind % 12 == 6 {
            let other = usize::from(input.u8()) % self.contents.len();
            return self.contents.swap(chosen, other);
        }
        let bytes = &mut self.contents[chosen];
        match kind % 12 {
            0 => put(bytes, input.below(FILE_BYTES_MAX), &[input.u8()]),
            1 => {
                let at = input.below(bytes.len());
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (input.u8() % 8));
            }
            2 => {
                let sector = input.below(bytes.len().div_ceil(512));
                bytes.iter_mut().skip(sector * 512).take(512).for_each(|byte| *byte = 0);
            }
            3 => {
                let (from, to) = (input.below(bytes.len()), input.below(bytes.len()));
                let length = input.below(4096).min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + length, to);
            }
            4 => bytes.resize(input.below(FILE_BYTES_MAX), 0),
            5 => bytes.clear(),
            7 => {
                let at = input.below(bytes.len());
                bytes.iter_mut().skip(at).for_each(|byte| *byte = 0);
            }
            8 => {
                let commit = choose(&commits(bytes), input);
                let at = usize::from(input.u8()) % COMMIT_HEADER_BYTES;
                put_number(bytes, commit + at, input);
            }
            9 => {
                let record = choose(&records(bytes), input);
                let at = usize::from(input.u8());
                put_number(bytes, record + at, input);
            }
            10 => {
                let commits = commits(bytes);
                let (from, behind) = (choose(&commits, input), end_of(bytes, commits.last()));
                let length = commit_bytes(bytes, from).min(bytes.len().saturating_sub(behind));
                if length > 0 {
                    bytes.copy_within(from..from + length, behind);
                }
            }
            _ => insert(bytes, input),
        }
    }

    /// Makes checks fit again, as far as they are to.
    pub(super) fn forge(&mut self, forgery: Forgery) {
        let mut chain = Chain { number: 1, previous: 0, position: 1, forgery };
        for (path, bytes) in self.paths.iter().zip(&mut self.contents) {
            let segment = path.extension().is_some_and(|extension| extension == "segment");
            if segment && forgery != Forgery::None && bytes.len() >= FIRST {
                chain.segment(bytes);
            }
        }
        let heads =
            self.paths.iter().zip(&mut self.contents).filter(|(path, _)| path.ends_with(HEAD_FILE));
        for (_, head) in
            heads.filter(|(_, head)| forgery == Forgery::Chain && head.len() == HEAD_BYTES)
        {
            chain.head(head);
        }
    }
}

fn put(bytes: &mut [u8], at: usize, put: &[u8]) {
    let place = bytes.iter_mut().skip(at);
    place.zip(put).for_each(|(byte, put)| *byte = *put);
}

/// A number of one to eight bytes.
fn put_number(bytes: &mut [u8], at: usize, input: &mut Input<'_>) {
    let width = 1 << (input.u8() % 4);
    put(bytes, at, &input.number().to_le_bytes()[..width]);
}

fn choose(places: &[usize], input: &mut Input<'_>) -> usize {
    places.get(input.below(places.len())).copied().unwrap_or(FIRST)
}

fn word(bytes: &[u8], at: usize) -> usize {
    let word = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    word.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

/// Bytes of the commit at an offset, as far as the file goes.
fn commit_bytes(bytes: &[u8], at: usize) -> usize {
    (COMMIT_HEADER_BYTES + word(bytes, at + 4)).min(bytes.len().saturating_sub(at))
}

fn end_of(bytes: &[u8], commit: Option<&usize>) -> usize {
    commit.map_or(FIRST, |at| at + commit_bytes(bytes, *at))
}

/// Offsets of the commits of a segment, as their lengths tell.
fn commits(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = FIRST;
    while at + COMMIT_HEADER_BYTES < bytes.len() && word(bytes, at + 4) > 0 {
        found.push(at);
        at += commit_bytes(bytes, at).next_multiple_of(UNIT_BYTES);
    }
    found
}

/// Offsets of the records of a commit, as their lengths tell.
fn records_of(bytes: &[u8], commit: usize) -> Vec<usize> {
    let end = commit + commit_bytes(bytes, commit);
    let mut found = Vec::new();
    let mut at = commit + COMMIT_HEADER_BYTES;
    for _ in 0..word(bytes, commit + 24) {
        let length = word(bytes, at);
        if length < 9 || at + length > end {
            break;
        }
        found.push(at);
        at += length;
    }
    found
}

fn records(bytes: &[u8]) -> Vec<usize> {
    commits(bytes).into_iter().flat_map(|commit| records_of(bytes, commit)).collect()
}

/// Inserts 64 bytes into a record, whose lengths and whose commit's length grow with it.
fn insert(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let commit = choose(&commits(bytes), input);
    let record = choose(&records_of(bytes, commit), input);
    let at = record + usize::from(input.u8());
    if at + UNIT_BYTES > bytes.len() || commit + COMMIT_HEADER_BYTES > record {
        return;
    }
    let filling = [input.u8(); UNIT_BYTES];
    let length = bytes.len();
    bytes.splice(at..at, filling);
    bytes.truncate(length);
    // The fields of an append grow too, or else its events.
    let grown =
        [Some(commit + 4), Some(record), input.u8().is_multiple_of(2).then_some(record + 64)];
    for at in grown.into_iter().flatten() {
        let length = word(bytes, at) + UNIT_BYTES;
        put(bytes, at, &(length as u32).to_le_bytes());
    }
    for _ in 0..input.u8() % 8 {
        put_number(bytes, at + usize::from(input.u8()) % UNIT_BYTES, input);
    }
}

/// Where a log that is forged goes on.
struct Chain {
    number: u64,
    previous: u32,
    position: u64,
    forgery: Forgery,
}

impl Chain {
    fn segment(&mut self, bytes: &mut Vec<u8>) {
        if self.forgery == Forgery::Chain {
            // Any length that a segment can have.
            bytes.resize(bytes.len().next_multiple_of(FIRST), 0);
            let length = bytes.len() as u64;
            put(bytes, 40, &length.to_le_bytes());
        }
        let check = crc32c::crc32c(&bytes[..508]);
        put(bytes, 508, &check.to_le_bytes());
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |n| u64::from_le_bytes(*n));
        let incarnation = u128::from(number(24)) << 64 | u128::from(number(16));
        let seal = Seal::new(number(48), word(bytes, 32) as u32, incarnation);
        for at in commits(bytes) {
            self.commit(bytes, at, seal);
        }
    }

    fn commit(&mut self, bytes: &mut [u8], at: usize, seal: Seal) {
        let (records, end) = (records_of(bytes, at), at + commit_bytes(bytes, at));
        if self.forgery == Forgery::Chain {
            put(bytes, at + 8, &self.position.to_le_bytes());
            put(bytes, at + 32, &self.number.to_le_bytes());
            put(bytes, at + 40, &self.previous.to_le_bytes());
            put(bytes, at + 44, &seal.segment.to_le_bytes());
            put(bytes, at + 48, &((at / UNIT_BYTES) as u32).to_le_bytes());
            self.number += 1;
        }
        for record in records {
            if self.forgery == Forgery::Chain && bytes[record + 8] == 1 {
                put(bytes, record + 48, &self.position.to_le_bytes());
                self.position += word(bytes, record + 10) as u64 & 0xffff;
            }
            let whole = record..record + word(bytes, record);
            let check = seal.check_at(record as u64, &bytes[record + 8..whole.end]);
            put(bytes, record + 4, &check.to_le_bytes());
        }
        let body = bytes.get(at + COMMIT_HEADER_BYTES..end).unwrap_or_default();
        let check = seal.check(body);
        put(bytes, at + 52, &check.to_le_bytes());
        let check = seal.check(&bytes[at..at + 60]);
        put(bytes, at + 60, &check.to_le_bytes());
        self.previous = check;
    }

    /// What is published is the end that was forged.
    fn head(&self, head: &mut [u8]) {
        put(head, 28, &self.previous.to_le_bytes());
        put(head, 40, &(self.number - 1).to_le_bytes());
        put(head, 48, &(self.position - 1).to_le_bytes());
        let check = crc32c::crc32c(&head[..60]);
        put(head, 60, &check.to_le_bytes());
    }
}
