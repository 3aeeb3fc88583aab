//! The shapes of all that is kept, against the lock file of them.

use crate::{
    auction::Auction,
    read_models::{Auctions, BidKinds, Bidders, Items},
};
use kronika_testkit::shapes;

#[test]
fn what_is_recorded_and_kept_can_still_be_read() {
    shapes("shapes.lock")
        .aggregate::<Auction>()
        .projection::<Auctions>()
        .projection::<Bidders>()
        .projection::<Items>()
        .projection::<BidKinds>()
        .check();
}
