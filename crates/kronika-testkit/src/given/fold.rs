//! The state, folded twice: once in memory only, and once written and read as a snapshot after every event.

use super::codecs::{event_round_trip, round_trip, state_value, within_limits};
use kronika_core::{Aggregate, Decision, Effect};
use serde::{Serialize, de::DeserializeOwned};

pub(super) struct Fold<A> {
    kept: A,
    from_snapshots: A,
    version: u64,
}

impl<A: Aggregate> Default for Fold<A> {
    fn default() -> Self {
        Self { kept: A::default(), from_snapshots: A::default(), version: 0 }
    }
}

impl<A: Aggregate> Fold<A> {
    pub fn state(&self) -> &A {
        &self.kept
    }

    /// The state as it is after a restart at every version.
    pub fn restarted(&self) -> &A {
        &self.from_snapshots
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    #[track_caller]
    pub fn event(&mut self, event: A::Event) {
        self.snapshot();
        self.kept.apply(&event);
        self.after(&event);
    }

    /// Takes a decision's effect; `again` is the same decision as made on the state from snapshots.
    #[track_caller]
    pub fn decision<R: Serialize + DeserializeOwned + 'static>(
        &mut self,
        decision: Decision<A, R>,
        again: Decision<A, R>,
    ) -> Effect<A, R> {
        within_limits(decision.events());
        assert!(
            decision.timers().is_empty() || !decision.events().is_empty(),
            "a timer is found through its event: a decision that sets one records an event beside it"
        );
        self.snapshot();
        let effect = decision.take_effect(&mut self.kept);
        let mut other = round_trip("the state", &self.from_snapshots);
        let other_effect = again.take_effect(&mut other);
        round_trip("the reply", &effect.reply);
        let replies = [&effect.reply, &other_effect.reply];
        let [reply, other_reply] = replies.map(|reply| super::show::json(reply));
        assert!(
            reply == other_reply,
            "the reply is another one from the state as read from its snapshot\n   first: {reply}\n  second: {other_reply}"
        );
        for event in &effect.events {
            self.after_one(event);
        }
        self.compare();
        effect
    }

    fn snapshot(&mut self) {
        self.from_snapshots = round_trip("the state", &self.from_snapshots);
    }

    #[track_caller]
    fn after(&mut self, event: &A::Event) {
        self.after_one(event);
        self.compare();
    }

    #[track_caller]
    fn after_one(&mut self, event: &A::Event) {
        self.from_snapshots.apply(&event_round_trip(event));
        self.snapshot();
        self.version += 1;
    }

    #[track_caller]
    fn compare(&self) {
        let (kept, from_snapshots) = (state_value(&self.kept), state_value(&self.from_snapshots));
        assert!(
            kept == from_snapshots,
            "the state differs when it is read from a snapshot on the way: serde does not keep all of it\n       \
             kept in memory: {kept}\n  read from snapshot: {from_snapshots}"
        );
    }
}
