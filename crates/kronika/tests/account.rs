//! The account of the documentation, tested as its users would test theirs.
#![allow(missing_docs, dead_code, reason = "the example's `main` is not called here")]

#[path = "../examples/account.rs"]
mod account;

use account::{Account, AccountEvent, Balance, Refused, Withdraw};
use kronika_testkit::{given, shapes};

#[test]
fn money_that_is_not_there_cannot_be_withdrawn() {
    let opened = AccountEvent::Opened { owner: "ann".into() };
    given::<Account>([opened, AccountEvent::Deposited { cents: 300 }])
        .when(Withdraw { cents: 500 })
        .then_rejection(Refused::Insufficient(300))
        .when(Withdraw { cents: 100 })
        .then_events([AccountEvent::Withdrawn { cents: 100 }])
        .then_reply(200)
        .when(Balance {})
        .then_nothing()
        .then_reply(200);
}

#[test]
fn what_is_recorded_can_still_be_read() {
    shapes("examples/account-shapes.lock").aggregate::<Account>().check();
}
