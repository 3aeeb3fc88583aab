//! A life of a log: it is opened, used and lost, again and again, on a disk where anything may go wrong.

use super::{
    PATH, Plan, Tally, damage, in_midst,
    look::{self, Allowed},
    model::{Checked, Model},
    sending::{Habits, Writers},
    settings,
    witness::{self, Witness},
};
use kronika_core::{Epoch, SLICES, SliceRange};
use kronika_log::{Fault, FaultKind, Log, Misread, OpenError, SimulatedDisk, Step, Stepper};
use std::{cell::RefCell, path::Path, rc::Rc, sync::Arc};

/// Openings of one life that end badly in a row, at most.
const OPENINGS_FAILED_MAX: usize = 4;
/// Where the first commit of a segment is.
const FIRST_COMMIT: u64 = 4096;
const STREAMS: &[&str] =
    &["account/a", "account/b", "account/c", "order/1", "order/2", "other/x/y"];

pub struct Life {
    pub random: fastrand::Rng,
    pub disk: SimulatedDisk,
    pub witness: Rc<RefCell<Witness>>,
    pub stepper: Rc<RefCell<Option<Stepper>>>,
    pub writers: Writers,
    pub habits: Habits,
    pub tally: Tally,
    /// Which errors reads may give now.
    pub allowed: Allowed,
    plan: Plan,
}

/// What goes wrong while a log is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hazard {
    None,
    Power,
    /// The power fails at the first commit of a segment, perhaps while another call fails.
    PowerAtFirstCommit,
    Fault,
    Full,
    Misread,
}

impl Life {
    pub fn new(seed: u64, plan: &Plan) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        settings::set_clock(&mut random);
        let disk = SimulatedDisk::new(random.u64(..));
        disk.write_short(random.bool());
        if plan.record {
            disk.record();
        }
        let mut settings = settings::settings(&mut random);
        settings.planted_fault = plan.planted;
        let streams = &STREAMS[..random.usize(1..=STREAMS.len())];
        let witness = Witness::new(disk.clone(), settings, Model::new(streams));
        let witness = Rc::new(RefCell::new(witness));
        disk.watch(in_midst::disk_is_called);
        Self {
            habits: settings::habits(&mut random),
            random,
            disk,
            witness,
            stepper: Rc::default(),
            writers: Writers::new(streams.len()),
            tally: Tally::default(),
            allowed: Allowed::Nothing,
            plan: plan.clone(),
        }
    }

    /// Lives to the end; the first thing that is wrong.
    pub fn live(&mut self) -> Checked {
        witness::watch(&self.witness);
        for _ in 0..self.random.usize(3..=self.plan.openings) {
            if !self.open(OPENINGS_FAILED_MAX)? {
                return Ok(());
            }
            self.run()?;
            self.end()?;
        }
        // Nothing goes wrong any more, so that the published head is the newest one.
        if self.open(0)? {
            damage::afterwards(self)?;
        }
        Ok(())
    }

    /// Opens the log, after as many times at most that end badly; false if this life ends here, as is right.
    fn open(&mut self, failing_max: usize) -> Checked<bool> {
        for attempt in 0.. {
            self.disk.heal();
            self.disk.limit(None);
            let hazard = attempt < failing_max && self.random.u8(..5) < 2;
            if hazard {
                match self.random.u8(..6) {
                    0 | 5 => in_midst::strike_at_write(&self.disk, None, self.random.u64(..)),
                    1 | 2 => self.disk.power_fails_at(self.random.u64(1..16)),
                    3 => self.fault(12),
                    _ => self.disk.limit(Some(self.disk.used() + self.random.usize(..16 << 10))),
                }
            }
            let mut settings = self.witness.borrow().settings.clone();
            settings.seed = Some(self.random.u64(..));
            self.tally.openings += 1;
            self.disk.remark(|| format!("== opening, hazard {hazard}"));
            let disk = Arc::new(self.disk.clone());
            let opened = Log::open_stepped(disk, Path::new(PATH), settings);
            in_midst::strike_no_more();
            match opened {
                Ok((log, stepper)) => {
                    self.disk.heal();
                    self.disk.limit(None);
                    in_midst::opened(stepper.beside(), self.random.u64(..));
                    self.stepper.replace(Some(stepper));
                    self.witness.borrow_mut().log = Some(log);
                    return self.opened().map(|()| true);
                }
                Err(OpenError::Damaged(damage))
                    if self.habits.sparse && damage.what.contains("body does not fit") =>
                {
                    // A sector with a single set bit was lost: told as damage, as the format says.
                    self.tally.sparse_refused += 1;
                    return Ok(false);
                }
                Err(OpenError::Failed { .. } | OpenError::Full { .. }) if hazard => {
                    self.tally.openings_failed += 1;
                    match self.random.u8(..3) {
                        0 => self.crash(),
                        1 => self.kill(),
                        _ => {}
                    }
                }
                Err(error) => return Err(format!("opening: {error}")),
            }
        }
        unreachable!("an opening without hazard ends the loop")
    }

    /// Compares all that is there with what was told; what is there is told from now on.
    fn opened(&mut self) -> Checked {
        self.allowed = Allowed::Nothing;
        let mut witness = self.witness.borrow_mut();
        let Witness { model, log, .. } = &mut *witness;
        let log = log.as_ref().expect("the log is open");
        model.opened();
        model.epochs_found(look::epochs(log)?)?;
        for stream in 0..model.streams.len() {
            look::catch_up(model, log, stream, Allowed::Nothing)?;
        }
        model.settled();
        look::everything(model, log, &mut self.random, Allowed::Nothing)?;
        self.writers.load_all(model);
        witness.look()
    }

    /// The log is used, while this or that goes wrong.
    fn run(&mut self) -> Checked {
        let hazard = match self.random.u8(..10) {
            0 => Hazard::None,
            1..4 => Hazard::Power,
            4..6 => Hazard::PowerAtFirstCommit,
            6..8 => Hazard::Fault,
            8 => Hazard::Full,
            _ => Hazard::Misread,
        };
        self.disk.remark(|| format!("== open, hazard {hazard:?}"));
        match hazard {
            Hazard::None => {}
            Hazard::PowerAtFirstCommit => {
                let seed = self.random.u64(..);
                in_midst::strike_at_write(&self.disk, Some(FIRST_COMMIT), seed);
                if self.random.u8(..4) == 0 {
                    self.fault(12);
                }
            }
            Hazard::Power => self.disk.power_fails_at(self.random.u64(1..70)),
            Hazard::Fault => {
                for _ in 0..self.random.usize(1..3) {
                    self.fault(40);
                }
            }
            Hazard::Full => {
                self.disk.limit(Some(self.disk.used() + self.random.usize(..40 << 10)));
            }
            Hazard::Misread => {
                let kinds = [Misread::BitFlip, Misread::Zeroed, Misread::Misdirected];
                for _ in 0..self.random.usize(1..4) {
                    let kind = kinds[self.random.usize(..3)];
                    self.disk.misread(self.random.u64(1..10), kind);
                }
            }
        }
        self.allowed = match hazard {
            Hazard::None | Hazard::Full => Allowed::Nothing,
            Hazard::Power | Hazard::PowerAtFirstCommit | Hazard::Fault => Allowed::Unavailable,
            Hazard::Misread => Allowed::Damaged,
        };
        for _ in 0..self.random.usize(1..self.plan.actions) {
            self.act()?;
            if hazard == Hazard::Full && self.random.u8(..30) == 0 {
                self.disk.limit(None);
            }
        }
        Ok(())
    }

    /// A call fails, once or for ever.
    fn fault(&mut self, within: u64) {
        let kinds = [
            FaultKind::Write,
            FaultKind::Sync,
            FaultKind::Read,
            FaultKind::Directory,
            FaultKind::Any,
        ];
        let kind = kinds[self.random.usize(..kinds.len())];
        let (nth, forever) = (self.random.u64(1..within), self.random.bool());
        self.disk.fail(Fault { kind, nth, forever });
    }

    pub fn act(&mut self) -> Checked {
        settings::move_clock(&mut self.random);
        match self.random.u8(..100) {
            0..30 => self.send(),
            30..34 => self.claim(),
            34..36 => self.witness.borrow_mut().follow(),
            36..52 => super::reading::read(self)?,
            52..54 => self.quiesce()?,
            54..56 => {
                let witness = self.witness.borrow();
                let stream = self.random.usize(..witness.model.streams.len());
                self.writers.load(&witness.model, stream);
            }
            _ => {
                let step = Step::ALL[self.random.usize(..Step::ALL.len())];
                self.step(step);
            }
        }
        self.look()
    }

    /// What was told by now, and what was found in the midst of calls.
    pub fn look(&mut self) -> Checked {
        let mut witness = self.witness.borrow_mut();
        match witness.wrong.take() {
            Some(wrong) => Err(wrong),
            None => witness.look(),
        }
    }

    pub fn step(&mut self, step: Step) -> bool {
        self.stepper.borrow_mut().as_mut().is_some_and(|stepper| stepper.step(step))
    }

    pub fn send(&mut self) {
        let mut witness = self.witness.borrow_mut();
        let group = self.writers.group(&witness.model, self.habits, &mut self.random);
        witness.send(group);
    }

    fn claim(&mut self) {
        let mut witness = self.witness.borrow_mut();
        let stream = self.random.usize(..witness.model.streams.len());
        let slice = witness.model.streams[stream].id.slice().get();
        let slices = match self.random.u8(..3) {
            0 => Some(SliceRange::ALL),
            1 => SliceRange::new(slice, slice),
            _ => SliceRange::new(slice, SLICES - 1),
        };
        let slices = slices.expect("the first is not greater than the last");
        let now = witness.model.epochs[usize::from(slice)];
        let held = match self.random.u8(..3) {
            0 => None,
            1 => Some(now),
            _ => Some(Epoch::new(now.get().saturating_sub(1))),
        };
        witness.claim(slices, held);
    }

    /// Everything is done that can be done: nobody is left waiting then.
    pub fn quiesce(&mut self) -> Checked {
        while [Step::Commit, Step::Take, Step::Write].into_iter().any(|step| self.step(step)) {}
        self.look()?;
        if self.witness.borrow().is_waiting() {
            return Err("somebody is left waiting".to_owned());
        }
        Ok(())
    }

    /// The log ends, in one way or another.
    fn end(&mut self) -> Checked {
        let in_order = self.random.u8(..6) == 0;
        if in_order && let Some(stepper) = self.stepper.take() {
            stepper.finish();
            self.look()?;
            if self.witness.borrow().is_waiting() {
                return Err("somebody is left waiting by a log that was closed".to_owned());
            }
        }
        if self.random.u8(..4) == 0 {
            self.kill()
        } else {
            self.crash()
        }
        Ok(())
    }

    fn crash(&mut self) {
        self.disk.remark(|| "== crash".to_owned());
        self.disk.crash();
        self.tally.crashes += 1;
        self.ended();
    }

    pub fn kill(&mut self) {
        self.disk.remark(|| "== kill".to_owned());
        self.disk.restart();
        self.tally.kills += 1;
        self.ended();
    }

    fn ended(&mut self) {
        in_midst::strike_no_more();
        in_midst::ended();
        self.witness.borrow_mut().ended();
        drop(self.stepper.take());
    }
}
