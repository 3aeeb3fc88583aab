//! What happens in the midst of others: before every call to the disk the witness looks, the duties that go on beside
//! all others get on, and while a read goes on so do the others.

use super::witness;
use kronika_log::{Beside, Call, Fault, FaultKind, SimulatedDisk, Step, Stepper};
use std::{cell::RefCell, rc::Rc};

type Steps = Rc<RefCell<Option<Stepper>>>;

struct Midst {
    random: fastrand::Rng,
    beside: Beside,
    /// While a read goes on.
    stepper: Option<Steps>,
}

/// The power fails at a write that matters, or soon after it.
struct Strike {
    disk: SimulatedDisk,
    random: fastrand::Rng,
    /// Only at writes to this offset.
    offset: Option<u64>,
}

thread_local! {
    static STRIKE: RefCell<Option<Strike>> = const { RefCell::new(None) };
    static MIDST: RefCell<Option<Midst>> = const { RefCell::new(None) };
}

/// A log is open, and this goes on beside its steps.
pub fn opened(beside: Beside, seed: u64) {
    let random = fastrand::Rng::with_seed(seed);
    MIDST.set(Some(Midst { random, beside, stepper: None }));
}

/// Lets the power fail at a write, or soon after it: at any, or at any to an offset.
pub fn strike_at_write(disk: &SimulatedDisk, offset: Option<u64>, seed: u64) {
    let random = fastrand::Rng::with_seed(seed);
    STRIKE.set(Some(Strike { disk: disk.clone(), random, offset }));
}

/// Lets the power be.
pub fn strike_no_more() {
    STRIKE.set(None);
}

/// The log has ended.
pub fn ended() {
    MIDST.set(None);
}

/// Reads, while steps of all duties are done in the midst of it.
pub fn with_steps<T>(stepper: &Steps, read: impl FnOnce() -> T) -> T {
    let set = |stepper| {
        MIDST.with_borrow_mut(|midst| {
            if let Some(midst) = midst {
                midst.stepper = stepper;
            }
        });
    };
    set(Some(Rc::clone(stepper)));
    let read = read();
    set(None);
    read
}

/// A call to the disk is about to be done.
pub fn disk_is_called(call: Call) {
    witness::look_now();
    let strikes = |strike: &mut Strike| {
        call.kind == FaultKind::Write
            && strike.offset.is_none_or(|offset| offset == call.offset)
            && strike.random.bool()
    };
    if let Some(mut strike) = STRIKE.with_borrow_mut(|strike| strike.take_if(strikes)) {
        strike.now();
    }
    // What is done here makes calls of its own.
    let Some(mut midst) = MIDST.take() else { return };
    midst.get_on();
    MIDST.set(Some(midst));
}

impl Strike {
    fn now(&mut self) {
        let within = [3, 4, 10][self.random.usize(..3)];
        self.disk.power_fails_at(self.random.u64(1..within));
        if self.offset.is_some() && self.random.u8(..3) == 0 {
            self.disk.fail(Fault { kind: FaultKind::Directory, nth: 1, forever: false });
        }
    }
}

impl Midst {
    fn get_on(&mut self) {
        let Self { random, beside, stepper } = self;
        if let Some(stepper) = stepper {
            for _ in 0..random.u8(..3) {
                let step = Step::ALL[random.usize(..Step::ALL.len())];
                if let Some(stepper) = stepper.borrow_mut().as_mut() {
                    stepper.step(step);
                }
            }
        } else {
            let steps = [0, 0, 0, 1, 2, 8][random.usize(..6)];
            for _ in 0..steps {
                beside.step(Step::BESIDE[random.usize(..Step::BESIDE.len())]);
            }
        }
    }
}
