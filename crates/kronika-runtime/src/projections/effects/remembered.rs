//! What became of effects whose events are not behind the checkpoint yet, so that a batch that is tried again
//! repeats nothing and does not wait again for what has failed.

use kronika_core::{EventId, RecordedEvent};
use std::collections::{HashMap, VecDeque};

/// Effects that are remembered, at most: many more than a batch has events.
const DONE_MAX: usize = 1024;

/// Of one handler, in this process.
#[derive(Default)]
pub(super) struct Remembered {
    /// Few enough to be looked through: those of one batch, as a rule.
    done: VecDeque<EventId>,
    failed: HashMap<EventId, String>,
}

impl Remembered {
    /// The effect took place.
    pub fn done(&mut self, event: EventId) {
        if self.done.len() == DONE_MAX {
            self.done.pop_front();
        }
        self.done.push_back(event);
    }

    pub fn is_done(&self, event: EventId) -> bool {
        self.done.contains(&event)
    }

    /// How many of these took place before the first one that did not.
    pub fn done_first(&self, events: &[RecordedEvent]) -> usize {
        events.iter().take_while(|event| self.is_done(event.id)).count()
    }

    /// The effect was given up, in a batch that has something to be written before it is told again.
    pub fn failed(&mut self, event: EventId, cause: String) {
        self.failed.insert(event, cause);
    }

    pub fn cause(&self, event: EventId) -> Option<&String> {
        self.failed.get(&event)
    }

    /// It is told of: when it comes again, it is tried again.
    pub fn told(&mut self, event: EventId) {
        self.failed.remove(&event);
    }

    /// Whoever begins anew tries anew.
    pub fn forget_failures(&mut self) {
        self.failed.clear();
    }

    /// They are behind the checkpoint and do not come again.
    pub fn written(&mut self, events: &[RecordedEvent]) {
        self.done.retain(|done| !events.iter().any(|event| event.id == *done));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_the_rest_bounded() {
        let mut remembered = Remembered::default();
        (0..5000).for_each(|number| remembered.done(EventId::new(number)));
        assert_eq!(remembered.done.len(), DONE_MAX);
        assert!(remembered.is_done(EventId::new(4999)) && remembered.is_done(EventId::new(3976)));
        assert!(!remembered.is_done(EventId::new(3975)));
    }
}
