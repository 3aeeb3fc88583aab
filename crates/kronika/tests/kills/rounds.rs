//! Rounds of killing and looking, on directories that live for some rounds each.

use crate::{
    check::{self, Found, Known},
    life::{Ending, Life},
    model,
    process::{Death, Told, live},
};
use kronika_core::ReadModelId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A directory is killed so often before the next one is made.
const KILLS_OF_ONE: u64 = 12;
/// From which of them on parked events are left out now and then: those before are held to every event.
const LEAVES_OUT_FROM: u64 = 9;
/// Numbers of commands for each life.
const NUMBERS_OF_ONE: u64 = 1_000_000;
/// How often it is said how far the rounds are.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
const KILL: i32 = 9;

pub struct Rounds {
    seed: u64,
    random: fastrand::Rng,
    directory: TempDir,
    lives: u64,
    acknowledged: BTreeSet<u64>,
    known: Known,
    live: Vec<ReadModelId>,
    sum: Sum,
}

/// What was done and looked at in all.
#[derive(Default, Debug)]
struct Sum {
    kills: u64,
    acts: BTreeMap<String, usize>,
    refused: usize,
    /// Live read models that were others before.
    switched: usize,
    events: usize,
    read_models: usize,
    parked: usize,
    behind: usize,
}

impl Rounds {
    pub fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            seed,
            random: fastrand::Rng::with_seed(seed),
            directory,
            lives: 0,
            acknowledged: BTreeSet::new(),
            known: Known::new(),
            live: Vec::new(),
            sum: Sum::default(),
        }
    }

    /// Kills so many times.
    pub fn run(mut self, rounds: u64) {
        let (begun, mut told) = (Instant::now(), Instant::now());
        eprintln!("kills of the service: {rounds} rounds, seed {}", self.seed);
        for round in 0..rounds {
            let of_directory = round % KILLS_OF_ONE;
            let death = self.death();
            // Two kills in a row now and then, with nobody looking in between.
            let looks = self.random.u32(..5) > 0;
            let life = self.life(of_directory);
            if let Err(error) = self.kill(&life, death.clone(), looks) {
                self.fail(round, &life, &format!("{death:?}: {error}"));
            }
            if of_directory == KILLS_OF_ONE - 1 || round == rounds - 1 {
                let life = Life { ends: Ending::CaughtUp, ..self.last_life() };
                if let Err(error) = self.end(&life) {
                    self.fail(round, &life, &error);
                }
                self.next_directory();
            }
            if told.elapsed() > PROGRESS_EVERY {
                told = Instant::now();
                let rate = (round + 1) as f64 / begun.elapsed().as_secs_f64();
                let left = (rounds - round - 1) as f64 / rate;
                eprintln!("{} of {rounds} kills, {rate:.1}/s, {left:.0} s left", round + 1);
            }
        }
        let Sum { kills, acts, refused, switched, events, read_models, parked, behind } = self.sum;
        let seconds = begun.elapsed().as_secs_f64();
        eprintln!(
            "{kills} kills in {seconds:.1} s: {events} events; {read_models} read models looked at, {behind} of \
             them behind the head, {parked} parked keys, {switched} live where others were; {refused} acts \
             refused, and taken on: {acts:?}"
        );
    }

    /// One kill between a failed commit and its next try.
    pub fn kill_with_fault(&mut self, outside: bool) -> Result<(), String> {
        let planted = Some((outside, 20));
        let life = Life { planted, mended: true, batch_events_max: 5, ..self.life(0) };
        self.kill(&life, Death { lines: 400, after: Duration::ZERO }, true)
    }

    /// While it opens and starts, or some time later.
    fn death(&mut self) -> Death {
        let random = &mut self.random;
        let lines = match random.u32(..6) {
            0 => random.usize(..6),
            _ => random.usize(6..700),
        };
        Death { lines, after: Duration::from_micros(random.u64(..5000)) }
    }

    fn life(&mut self, of_directory: u64) -> Life {
        let random = &mut self.random;
        let generations = match random.u32(..3) {
            _ if of_directory < 3 => vec![1],
            0 => vec![1],
            1 => vec![2],
            _ => vec![1, 2],
        };
        self.lives += 1;
        Life {
            directory: self.directory.path().to_owned(),
            seed: random.u64(..),
            numbers: self.lives * NUMBERS_OF_ONE,
            ends: Ending::Killed,
            mended: random.u32(..3) == 0,
            generations,
            batch_events_max: [5, 64, 4096][random.usize(..3)],
            leaves_out: of_directory >= LEAVES_OUT_FROM,
            planted: None,
        }
    }

    fn last_life(&mut self) -> Life {
        Life { mended: true, generations: vec![1, 2], leaves_out: false, ..self.life(0) }
    }

    fn kill(&mut self, life: &Life, death: Death, looks: bool) -> Result<(), String> {
        let (told, ended) = live(life, Some(death));
        self.note(told);
        if ended.signal() != Some(KILL) {
            return Err(ended_wrongly(life, ended));
        }
        self.sum.kills += 1;
        if looks { self.look().map(|_| ()) } else { Ok(()) }
    }

    /// The last life of a directory: in the end nothing is parked and nothing behind.
    fn end(&mut self, life: &Life) -> Result<(), String> {
        let (told, ended) = live(life, None);
        let is_caught_up = told.is_caught_up;
        self.note(told);
        if !ended.success() || !is_caught_up {
            return Err(ended_wrongly(life, ended));
        }
        let found = self.look()?;
        match (found.parked, found.behind) {
            (0, 0) => Ok(()),
            _ => Err(format!("not caught up: {found:?}")),
        }
    }

    fn note(&mut self, told: Told) {
        self.acknowledged.extend(told.acknowledged);
        for (name, position) in told.seen {
            let known = self.known.entry(name).or_default();
            *known = position.max(*known);
        }
        for (act, count) in told.acts {
            *self.sum.acts.entry(act).or_default() += count;
        }
        self.sum.refused += told.refused;
    }

    fn look(&mut self) -> Result<Found, String> {
        let facts = model::facts(self.directory.path());
        model::check_journal(&facts, &self.acknowledged)?;
        let found = check::check(self.directory.path(), &facts, &mut self.known)?;
        self.sum.read_models += found.read_models;
        self.sum.parked += found.parked;
        self.sum.behind += found.behind;
        let was =
            |id: &ReadModelId| self.live.iter().any(|live| live.name == id.name && live != id);
        self.sum.switched += found.live.iter().filter(|id| was(id)).count();
        self.live.clone_from(&found.live);
        Ok(found)
    }

    fn next_directory(&mut self) {
        self.sum.events += model::facts(self.directory.path()).len();
        self.directory = tempfile::tempdir().unwrap();
        (self.acknowledged, self.known) = (BTreeSet::new(), Known::new());
        self.live.clear();
    }

    /// The files are kept, to be looked into.
    fn fail(self, round: u64, life: &Life, error: &str) -> ! {
        let (seed, directory) = (self.seed, self.directory.keep());
        panic!("seed {seed}, round {round}, {life:?}, files in {}: {error}", directory.display());
    }
}

fn ended_wrongly(life: &Life, ended: ExitStatus) -> String {
    let errors = fs::read_to_string(life.directory.join("errors")).unwrap_or_default();
    format!("the process ended by itself, {ended}: {errors}")
}
