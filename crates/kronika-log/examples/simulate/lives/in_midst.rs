//! What happens in the midst of others: before every call to the disk the witness looks, the duties that go on beside
//! all others get on, and while a read goes on so do the others.

use super::witness;
use kronika_log::{Beside, Step, Stepper};
use std::{cell::RefCell, rc::Rc};

type Steps = Rc<RefCell<Option<Stepper>>>;

struct Midst {
    random: fastrand::Rng,
    beside: Beside,
    /// While a read goes on.
    stepper: Option<Steps>,
}

thread_local! {
    static MIDST: RefCell<Option<Midst>> = const { RefCell::new(None) };
}

/// A log is open, and this goes on beside its steps.
pub fn opened(beside: Beside, seed: u64) {
    let random = fastrand::Rng::with_seed(seed);
    MIDST.set(Some(Midst { random, beside, stepper: None }));
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
pub fn disk_is_called() {
    witness::look_now();
    // What is done here makes calls of its own.
    let Some(mut midst) = MIDST.take() else { return };
    midst.get_on();
    MIDST.set(Some(midst));
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
                beside.step(Step::ALL[random.usize(..Step::ALL.len())]);
            }
        }
    }
}
