//! The conformance suite on the journal in memory: as it should be, with delays, and with every planted
//! fault, each of which some case must find.

use kronika_testkit::{
    Fault, Injection, MakeJournal, MemoryJournal, MemorySettings, Plan, PlantedFault, run_all,
    run_one,
};
use std::{cell::Cell, cell::RefCell, time::Duration};

/// Makes journals in memory, one seed after the other.
struct Memory {
    settings: MemorySettings,
    planted: Option<PlantedFault>,
    seeds: Cell<u64>,
}

impl Memory {
    fn new(settings: MemorySettings, planted: Option<PlantedFault>) -> Self {
        Self { settings, planted, seeds: Cell::new(0) }
    }
}

impl MakeJournal for Memory {
    type Journal = MemoryJournal;
    type Place = RefCell<Option<MemoryJournal>>;

    fn place(&self) -> Self::Place {
        RefCell::new(None)
    }

    async fn open(&self, place: &Self::Place) -> MemoryJournal {
        let closed = place.borrow().clone();
        let journal = match closed {
            Some(closed) => closed.reopen(),
            None => {
                self.seeds.set(self.seeds.get() + 1);
                let settings = MemorySettings { seed: self.seeds.get(), ..self.settings.clone() };
                let journal = MemoryJournal::open(settings);
                self.planted.into_iter().for_each(|fault| journal.plant(fault));
                journal
            }
        };
        *place.borrow_mut() = Some(journal.clone());
        journal
    }

    async fn close(&self, journal: MemoryJournal) {
        journal.settled().await;
    }

    async fn crash(
        &self,
        place: &mut Self::Place,
        journal: MemoryJournal,
    ) -> Option<MemoryJournal> {
        journal.crash();
        Some(self.open(place).await)
    }

    fn inject(&self, journal: &MemoryJournal, injection: Injection) -> bool {
        match injection {
            Injection::UnknownBefore => journal.fail_append(1, Fault::UnknownBefore),
            Injection::UnknownAfter => journal.fail_append(1, Fault::UnknownAfter),
            Injection::UnknownLater => {
                journal.fail_append(1, Fault::UnknownLater(Duration::from_millis(30)));
            }
            Injection::Unavailable => journal.fail_append(1, Fault::Unavailable),
            Injection::FailedWrite => journal.fail_append(1, Fault::FailedWrite),
            Injection::ClockBack => journal.turn_clock_back(Duration::from_secs(3600)),
            Injection::LeasesOver => journal.end_leases(),
            _ => return false,
        }
        true
    }
}

async fn check(settings: MemorySettings) {
    if let Err(failures) = run_all(&Memory::new(settings, None)).await {
        panic!("{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_journal_in_memory_conforms() {
    check(MemorySettings::default()).await;
}

#[tokio::test(start_paused = true)]
async fn it_conforms_with_many_groups_in_flight() {
    check(MemorySettings { plan: Plan::calm(), ..MemorySettings::default() }).await;
}

#[tokio::test(start_paused = true)]
async fn it_conforms_with_leases_and_without_finding_keys() {
    let lease = Some(Duration::from_secs(10));
    check(MemorySettings { lease, finds_keys: false, ..MemorySettings::default() }).await;
}

/// A case that nothing makes fail may check nothing, and so may a suite.
#[tokio::test(start_paused = true)]
async fn every_planted_fault_is_found() {
    use PlantedFault::*;
    let faults = [
        (ChainRuleLeftOut, "chains::what_stands_on_a_failed_append_fails_in_its_group"),
        (ChainRuleOnlyInGroup, "chains::what_stands_on_a_failed_append_fails_in_later_groups"),
        (EpochNotChecked, "fencing::a_stale_epoch_is_fenced_and_records_nothing"),
        (EpochForgotten, "fencing::epochs_outlast_a_reopening"),
        (
            ClaimNotChecked,
            "fencing::a_claim_by_one_who_was_overtaken_is_refused_and_changes_nothing",
        ),
        (RecordedAfterClaim, "fencing::after_a_claim_nothing_older_is_recorded"),
        (VersionNotChecked, "appends::a_stale_or_future_version_is_refused_with_the_newest"),
        (ReplyBeforeDurable, "faults::what_was_acknowledged_survives_a_crash"),
        (PlaceWhenPolled, "order::a_group_takes_its_place_when_append_is_called"),
        (FailsNeighbours, "appends::a_conflict_leaves_the_other_streams_of_its_group_alone"),
        (HalfAppend, "limits::what_is_beyond_a_limit_is_refused_and_leaves_its_neighbours_alone"),
        (HoleInPositions, "partitions::positions_are_dense_and_in_order"),
        (TimeGoesBack, "appends::time_never_goes_back"),
        (DropsDetails, "round_trip::every_field_comes_back_as_written"),
        (HidesEmptyAppends, "appends::an_append_without_events_takes_no_position"),
        (ScannedStandsStill, "partitions::pages_say_how_far_they_looked_even_if_nothing_passed"),
        (CursorSkipsOne, "streams::pages_of_any_size_give_everything_once"),
        (NeverWakes, "follow::waiting_ends_when_an_event_is_appended"),
        (FindsOldestKey, "lookups::the_newest_use_of_a_key_is_found"),
    ];
    for (fault, case) in faults {
        let found = run_one(&Memory::new(MemorySettings::default(), Some(fault)), case).await;
        assert!(found.is_err(), "{case} does not find {fault:?}");
    }
}
