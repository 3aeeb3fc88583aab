//! Lives of a log on a simulated disk, each from one seed, checked against a model.
//!
//! A life is the same each time that it is lived: everything in it happens on one thread, and every choice comes from
//! the seed. The check is of what the journal promises: 0 acknowledged events lost, 0 holes, 0 resurrections, 0 told
//! that was not durable at that moment; damage is found, and named.
#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "the program and the test use different parts, and a life is told when asked for"
)]

mod damage;
mod in_midst;
mod life;
mod look;
mod model;
mod reading;
mod run;
mod sending;
mod settings;
mod witness;

pub use run::{Outcome, run};

use kronika_log::PlantedFault;
use model::Checked;
use std::{
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Where the log of a life is on its disk.
const PATH: &str = "/data/journal";

/// Characters of what was wrong that are told.
const WRONG_CHARACTERS_MAX: usize = 500;

/// How lives are lived.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Openings of one life that end well, at most.
    pub openings: usize,
    /// What is done while the log is open, at most.
    pub actions: usize,
    /// A fault planted on purpose, which is to be found.
    pub planted: Option<PlantedFault>,
    /// Whether a life that is wrong prints the calls to its disk.
    pub record: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { openings: 12, actions: 60, planted: None, record: false }
    }
}

/// What happened in lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub lives: u64,
    pub crashes: u64,
    pub kills: u64,
    pub openings: u64,
    pub openings_failed: u64,
    pub acknowledged: u64,
    pub reads: u64,
    /// Openings of the durable image, to see that what was told is in it.
    pub images: u64,
    pub damage_found: u64,
    pub damage_lived_with: u64,
    pub sparse_refused: u64,
    /// A hash over all calls to the disks.
    pub trace: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.lives += other.lives;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.openings += other.openings;
        self.openings_failed += other.openings_failed;
        self.acknowledged += other.acknowledged;
        self.reads += other.reads;
        self.images += other.images;
        self.damage_found += other.damage_found;
        self.damage_lived_with += other.damage_lived_with;
        self.sparse_refused += other.sparse_refused;
        self.trace ^= other.trace;
    }
}

/// Lives one life; what happened, or what was wrong first.
pub fn live(seed: u64, plan: &Plan) -> Result<Tally, String> {
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let mut life = life::Life::new(seed, plan);
        let lived = life.live();
        let witness = life.witness.borrow();
        let mut tally = life.tally;
        (tally.lives, tally.acknowledged, tally.images) = (1, witness.acknowledged, witness.images);
        tally.trace = life.disk.trace();
        let at = format!("after {} crashes and {} kills", tally.crashes, tally.kills);
        lived.map(|()| tally).map_err(|wrong| {
            for call in life.disk.recorded() {
                eprintln!("{call}");
            }
            format!("{at}: {wrong}")
        })
    }));
    let lived = lived.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        Err(format!("a panic: {text}"))
    });
    lived.map_err(|wrong| one_line(&wrong))
}

/// As it is told: one line that can be read.
fn one_line(wrong: &str) -> String {
    let mut line = wrong.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(WRONG_CHARACTERS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// What a future gives at once: a log in steps lets no reader wait.
fn now<T>(future: impl Future<Output = T>) -> Checked<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => Err("a reader was left waiting".to_owned()),
    }
}
