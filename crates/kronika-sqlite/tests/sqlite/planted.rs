//! Faults built in on purpose, to see that the comparison with the fold over the journal finds them.

use crate::common::*;
use kronika_sqlite::{PlantedFaults, SqliteSettings};
use kronika_testkit::MemoryJournal;

/// Whether the read model is the fold over the journal, though a commit fails before its checkpoint.
async fn holds(checkpoint_outside_transaction: bool) -> bool {
    let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
    let planted =
        PlantedFaults { checkpoint_outside_transaction, fails_before_checkpoint: Some(3) };
    let read_models =
        open_with(&directory.path().join("rm"), SqliteSettings { planted, ..settings() });
    record_by_chance(&journal, 1, 100);
    let projections = start(&journal, &read_models, purses());
    caught_up(&journal, &projections).await;
    assert_eq!(projections.status()[0].events, 100, "the checkpoint alone does not tell");
    found(&read_models).await == expected(&journal)
}

#[tokio::test]
async fn a_checkpoint_outside_the_transaction_is_found() {
    assert!(holds(false).await);
    assert!(!holds(true).await);
}

/// The process ends between the two, and another one goes on.
#[tokio::test]
async fn a_checkpoint_outside_the_transaction_is_found_after_a_crash() {
    for outside in [false, true] {
        let (directory, journal) = (tempfile::tempdir().unwrap(), MemoryJournal::new(1));
        let path = directory.path().join("rm");
        let planted = PlantedFaults {
            checkpoint_outside_transaction: outside,
            fails_before_checkpoint: Some(3),
        };
        let read_models = open_with(&path, SqliteSettings { planted, ..settings() });
        record_by_chance(&journal, 1, 100);
        let projections = start(&journal, &read_models, purses());
        until(&projections, "purses", |status| status.error.is_some()).await;
        drop((projections, read_models));
        let read_models = open(&path);
        let projections = start(&journal, &read_models, purses());
        caught_up(&journal, &projections).await;
        assert_eq!(found(&read_models).await == expected(&journal), !outside);
    }
}
