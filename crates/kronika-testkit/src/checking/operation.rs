//! What an append says of the operation that it comes from, read from its events without the aggregate.

use super::{
    account::AccountEvent,
    history::{Action, Operation},
};
use kronika_core::{Event, RecordedAppend};
use std::fmt;

/// The effects of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Effects {
    /// `None` for an append without events.
    pub operation: Option<Operation>,
    /// The change of the balance by each event.
    pub changes: Vec<i64>,
}

impl Effects {
    pub fn of(append: &RecordedAppend) -> Result<Self, String> {
        let mut effects = Self { operation: None, changes: Vec::new() };
        for event in &append.events {
            let decoded = AccountEvent::decode(&event.name, event.schema, &event.body);
            let decoded = decoded.map_err(|error| format!("version {}: {error}", event.version))?;
            let operation = Operation(decoded.operation());
            if effects.operation.is_some_and(|other| other != operation) {
                return Err(format!("version {} is of another operation", event.version));
            }
            effects.operation = Some(operation);
            effects.changes.push(match decoded {
                AccountEvent::Deposited { cents, .. } => i64::from(cents),
                AccountEvent::Withdrawn { cents, .. } => -i64::from(cents),
            });
        }
        Ok(effects)
    }

    /// The effects that an action has where it is accepted.
    pub fn fit(&self, action: Action) -> bool {
        let change = match action {
            Action::Deposit { cents, .. } => i64::from(cents),
            Action::Withdraw { cents } => -i64::from(cents),
            Action::Read => 0,
        };
        self.changes.len() == action.events() as usize
            && self.changes.iter().all(|recorded| *recorded == change)
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Some(operation) => write!(f, "{operation} {:?}", self.changes),
            None => write!(f, "no events"),
        }
    }
}
