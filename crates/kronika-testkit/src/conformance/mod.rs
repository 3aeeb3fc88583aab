//! The conformance suite of journals: what every back end must do, whatever it is built of.
//!
//! A back end implements [`MakeJournal`] and calls [`run_all`] in one test. The cases ask nothing of a back
//! end but its `Journal`; what it declares that it cannot do is not asked. They do not look at speed, nor at
//! what survives a loss of power beyond what [`MakeJournal::crash`] simulates.

mod appends;
mod bed;
mod chains;
mod faults;
mod fencing;
mod follow;
mod limits;
mod lookups;
mod model;
mod order;
mod partitions;
mod reopening;
mod round_trip;
mod run;
mod streams;

pub use run::{Case, Failure, Failures, run_all, run_one};

use kronika_core::Journal;
use std::future::Future;

/// How the suite gets at journals of one back end.
pub trait MakeJournal: 'static {
    /// The back end's journal.
    type Journal: Journal;
    /// Where one journal lives: a directory, a database. Removed when it is dropped.
    type Place;

    /// A new place, without a journal yet.
    fn place(&self) -> Self::Place;

    /// Opens the journal of a place; the first opening makes it.
    fn open(&self, place: &Self::Place) -> impl Future<Output = Self::Journal>;

    /// Closes a journal in good order, so that its place can be opened again.
    fn close(&self, journal: Self::Journal) -> impl Future<Output = ()> {
        async { drop(journal) }
    }

    /// Ends a journal as a crash does, and opens its place again. `None` if that cannot be simulated.
    fn crash(
        &self,
        place: &mut Self::Place,
        journal: Self::Journal,
    ) -> impl Future<Output = Option<Self::Journal>> {
        let _ = (place, journal);
        async { None }
    }

    /// Injects something into what the journal does next; `false` if that cannot be done.
    fn inject(&self, journal: &Self::Journal, injection: Injection) -> bool {
        let _ = (journal, injection);
        false
    }
}

/// What the suite would like to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Injection {
    /// The next append is not recorded, and its sender is told that the outcome is unknown.
    UnknownBefore,
    /// The next append is recorded, and its sender is told that the outcome is unknown.
    UnknownAfter,
    /// The sender of the next append is told that the outcome is unknown; it would be recorded a little later.
    UnknownLater,
    /// The next append is not recorded, and its sender is told so.
    Unavailable,
    /// The next write fails: the journal must be opened anew.
    FailedWrite,
    /// The wall clock goes back by an hour.
    ClockBack,
    /// Every lease is over.
    LeasesOver,
}

/// Every case of the suite, in the order in which they are run.
pub fn cases<M: MakeJournal>() -> Vec<Case<M>> {
    vec![
        Case::new(appends::an_append_takes_the_next_versions_and_positions),
        Case::new(appends::a_stale_or_future_version_is_refused_with_the_newest),
        Case::new(appends::a_refused_append_records_none_of_its_events),
        Case::new(appends::a_conflict_leaves_the_other_streams_of_its_group_alone),
        Case::new(appends::appends_of_a_group_build_on_each_other),
        Case::new(appends::an_empty_group_is_answered_with_nothing),
        Case::new(appends::an_append_without_events_takes_no_position),
        Case::new(appends::several_appends_without_events_stand_on_one_version),
        Case::new(appends::of_those_who_race_for_a_version_exactly_one_wins),
        Case::new(appends::time_never_goes_back),
        Case::new(appends::many_appends_keep_their_order),
        Case::new(chains::what_stands_on_a_failed_append_fails_in_its_group),
        Case::new(chains::what_stands_on_a_failed_append_fails_in_later_groups),
        Case::new(chains::what_was_sent_before_the_failure_was_known_fails_too),
        Case::new(chains::a_newer_loading_ends_a_broken_chain),
        Case::new(chains::an_older_loading_is_refused_with_the_broken_one),
        Case::new(chains::an_append_that_is_too_large_breaks_its_chain),
        Case::new(chains::a_fenced_append_breaks_its_chain),
        Case::new(chains::a_broken_chain_holds_up_no_other_stream),
        Case::new(fencing::every_slice_begins_unclaimed),
        Case::new(fencing::a_claim_raises_the_epoch_of_its_slices_only),
        Case::new(fencing::a_stale_epoch_is_fenced_and_records_nothing),
        Case::new(fencing::a_fenced_append_leaves_other_slices_of_its_group_alone),
        Case::new(fencing::a_claim_by_one_who_was_overtaken_is_refused_and_changes_nothing),
        Case::new(fencing::a_claim_over_different_epochs_needs_each_of_them_held),
        Case::new(fencing::an_owner_claims_over_its_own_epoch),
        Case::new(fencing::after_a_claim_nothing_older_is_recorded),
        Case::new(fencing::claims_take_no_position),
        Case::new(fencing::epochs_outlast_a_reopening),
        Case::new(fencing::a_live_lease_keeps_others_out),
        Case::new(streams::an_unknown_stream_is_empty),
        Case::new(streams::reads_begin_where_the_cursor_says_in_both_directions),
        Case::new(streams::pages_of_any_size_give_everything_once),
        Case::new(streams::pages_are_not_shifted_by_what_is_appended_meanwhile),
        Case::new(streams::a_page_ends_after_its_bytes),
        Case::new(streams::streams_of_similar_names_are_kept_apart),
        Case::new(partitions::positions_are_dense_and_in_order),
        Case::new(partitions::pages_begin_after_a_position_and_end_at_their_limits),
        Case::new(partitions::filters_let_through_what_they_should),
        Case::new(partitions::pages_say_how_far_they_looked_even_if_nothing_passed),
        Case::new(partitions::nothing_is_beyond_the_head),
        Case::new(partitions::marks_are_those_of_the_events),
        Case::new(partitions::a_time_tells_how_far_it_was),
        Case::new(partitions::tokens_are_checked_against_marks),
        Case::new(partitions::an_unknown_partition_is_named),
        Case::new(follow::waiting_ends_at_once_where_the_head_is_beyond),
        Case::new(follow::waiting_ends_when_an_event_is_appended),
        Case::new(follow::a_follower_sees_everything_once_in_order_while_others_append),
        Case::new(lookups::an_append_is_found_by_its_id_in_its_stream),
        Case::new(lookups::an_append_is_found_by_its_key_within_its_principal),
        Case::new(lookups::the_newest_use_of_a_key_is_found),
        Case::new(round_trip::every_field_comes_back_as_written),
        Case::new(round_trip::bodies_come_back_byte_for_byte),
        Case::new(round_trip::ids_and_names_of_any_script_and_length_come_back),
        Case::new(limits::what_is_at_a_limit_is_recorded),
        Case::new(limits::what_is_beyond_a_limit_is_refused_and_leaves_its_neighbours_alone),
        Case::new(limits::a_group_may_be_larger_than_any_append),
        Case::new(order::a_group_takes_its_place_when_append_is_called),
        Case::new(order::dropping_the_future_withdraws_nothing),
        Case::new(order::groups_in_flight_keep_the_order_of_each_stream),
        Case::new(reopening::reopening_keeps_everything_and_goes_on),
        Case::new(reopening::an_empty_journal_keeps_its_incarnation),
        Case::new(reopening::two_journals_are_two_histories),
        Case::new(faults::what_was_acknowledged_survives_a_crash),
        Case::new(faults::what_was_in_flight_at_a_crash_is_there_whole_or_not_at_all),
        Case::new(faults::an_unknown_outcome_is_settled_by_a_claim),
        Case::new(faults::an_unavailable_journal_has_recorded_nothing),
        Case::new(faults::after_a_failed_write_nothing_is_acknowledged),
        Case::new(model::random_operations_agree_with_a_model),
    ]
}
