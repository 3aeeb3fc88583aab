//! What happens in the midst of others: before every call to the disk the witness looks, and while a read goes on,
//! steps of the log's duties are done.

use super::witness;
use kronika_log::{Step, Stepper};
use std::{cell::RefCell, rc::Rc};

/// Steps between two calls of one read, at most.
const STEPS_MAX: u8 = 3;

struct Beside {
    stepper: Rc<RefCell<Option<Stepper>>>,
    random: fastrand::Rng,
}

thread_local! {
    static BESIDE: RefCell<Option<Beside>> = const { RefCell::new(None) };
}

/// Nothing is done beside anything.
pub fn reset() {
    BESIDE.set(None);
}

/// Does what is given while the log's duties go on, as the seed says.
pub fn beside<T>(stepper: &Rc<RefCell<Option<Stepper>>>, seed: u64, done: impl FnOnce() -> T) -> T {
    let random = fastrand::Rng::with_seed(seed);
    BESIDE.set(Some(Beside { stepper: Rc::clone(stepper), random }));
    let done = done();
    reset();
    done
}

/// A call to the disk is about to be done.
pub fn disk_is_called() {
    witness::look_now();
    // While steps are done they are not to be done beside themselves.
    let Some(mut beside) = BESIDE.take() else { return };
    for _ in 0..beside.random.u8(..STEPS_MAX) {
        let step = Step::ALL[beside.random.usize(..Step::ALL.len())];
        if let Some(stepper) = beside.stepper.borrow_mut().as_mut() {
            stepper.step(step);
        }
    }
    BESIDE.set(Some(beside));
}
