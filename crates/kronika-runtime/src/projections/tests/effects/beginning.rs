//! Where a handler begins, where it ends, and what cannot be registered.

use super::*;
use kronika_core::StreamId;

#[tokio::test(start_paused = true)]
async fn one_that_begins_at_the_head_handles_what_comes_after_its_first_start() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<true>::answering(|_| Answer::Taken);
    record(&journal, "a", 5);
    let projections = start(&journal, &store, &mails);
    projections.begun().await;
    record(&journal, "a", 2);
    caught_up(&journal, &projections).await;
    projections.stop().await;
    // What is recorded while it is down is handled later.
    record(&journal, "a", 1);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.versions("a"), [6, 7, 8]);
}

/// Then nothing but its checkpoint says that it has begun.
#[tokio::test(start_paused = true)]
async fn one_that_began_on_an_empty_journal_loses_nothing_by_a_crash() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<true>::answering(|_| Answer::Taken);
    let projections = start(&journal, &store, &mails);
    projections.begun().await;
    crash(projections).await;
    record(&journal, "a", 3);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.versions("a"), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn it_is_not_said_to_run_before_it_has_noted_where_it_begins() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<true>::answering(|_| Answer::Taken);
    record(&journal, "a", 5);
    store.take(Duration::from_secs(1));
    let began = Instant::now();
    let projections = start(&journal, &store, &mails);
    projections.begun().await;
    assert_eq!((store.position(), began.elapsed().as_secs()), (5, 1));
    assert_eq!(projections.status()[0].state, ProjectionState::Running);
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_a_head_to_begin_at() {
    let journals = [MemoryJournal::new(1), MemoryJournal::new(1)];
    let (journal, store) = (TwoPartitions(journals.clone()), FakeStore::default());
    let mails = Mails::<true>::answering(|_| Answer::Taken);
    record(&journals[1], "b", 5);
    let run = || {
        let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
        let (settings, real) = (ProjectionSettings::default(), Environment::real());
        Projections::start(journal, Some(store), mails.register(), settings, real).unwrap()
    };
    let projections = run();
    projections.begun().await;
    crash(projections).await;
    record(&journals[0], "a", 2);
    record(&journals[1], "b", 2);
    let projections = run();
    let mut token = head(&journals[0]).await;
    token.see(journal.second(head(&journals[1]).await.mark(Default::default())));
    assert_eq!(projections.wait_for(&["mails"], &token, LONG).await, Waited::There);
    assert_eq!((mails.versions("a"), mails.versions("b")), (vec![1, 2], vec![6, 7]));
}

/// Of ten streams, some are written to, one waits for an hour: the others are noted up to it.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_long_wait_and_notes_what_took_place() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let busy = |call: &Call| if call.id == "b" { Answer::Busy } else { Answer::Taken };
    let mails = Mails::<false>::answering(busy);
    for id in ["a", "c", "a", "b", "d"] {
        record(&journal, id, 1);
    }
    let hour = Duration::from_secs(3600);
    let settings = || EffectSettings {
        retry_after_min: hour,
        retry_after_max: hour,
        ..EffectSettings::default()
    };
    let projections = start_with(&journal, &store, &mails, settings());
    mails.until(5).await;
    let began = Instant::now();
    projections.stop().await;
    assert_eq!(began.elapsed().as_secs(), 1, "stop_time_max");
    assert_eq!((store.position(), projections.status()[0].events), (3, 3));
    mails.answer(|_| Answer::Taken);
    let projections = start_with(&journal, &store, &mails, settings());
    caught_up(&journal, &projections).await;
    let again: Vec<_> =
        mails.calls()[5..].iter().map(|call| (call.id.clone(), call.time)).collect();
    assert_eq!(again, [("b".to_owned(), 2), ("d".to_owned(), 2)], "with the keys of before");
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_time_to_effects_on_their_way() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let half = Answer::TakenAfter(Duration::from_millis(500));
    let mails = Mails::<false>::answering(move |_| half);
    record(&journal, "a", 1);
    record(&journal, "b", 1);
    let projections = start(&journal, &store, &mails);
    mails.until(2).await;
    projections.stop().await;
    assert_eq!(store.position(), 2);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.calls().len(), 2);
}

struct ByKey;

impl Effects for ByKey {
    const NAME: &'static str = "by_key";
    const ORDER: Order = Order::Key;
    type Follows = (Counter,);
}

impl Perform<Counter> for ByKey {
    async fn perform(&self, _: &Counted, _: &About<'_>, _: &EffectKey) -> Result<(), EffectError> {
        Ok(())
    }
}

/// A read model of the same name as the mails.
struct Others;

impl kronika_core::Projection for Others {
    const NAME: &'static str = "mails";
    const GENERATION: u32 = 2;
    type Key = String;
    type Row = Tally;
    type Follows = (Counter,);
}

impl kronika_core::On<Counter> for Others {
    fn keys(&self, _: &Counted, _: &About<'_>) -> impl IntoIterator<Item = String> {
        []
    }
    fn on(
        &self,
        _: &mut Option<Tally>,
        _: &String,
        _: &Counted,
        _: &About<'_>,
    ) -> kronika_core::Folded {
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_registered_is_refused_by_kind() {
    let start = |registered, store: Option<SharedReadModelStore>| {
        let journal = Arc::new(MemoryJournal::new(1));
        let (settings, real) = (ProjectionSettings::default(), Environment::real());
        Projections::start(journal, store, registered, settings, real).map(drop).unwrap_err()
    };
    let store = || Some(Arc::new(FakeStore::default()) as SharedReadModelStore);
    let mails = || RegisteredProjection::effects(Mails::<false>::answering(|_| Answer::Taken));
    let name = |name| ProjectionName::new(name).unwrap();
    let by_key = start(vec![RegisteredProjection::effects(ByKey)], store());
    assert_eq!(by_key, RegistrationError::NoKeys(name("by_key")));
    let twice = RegistrationError::EffectsTwice(name("mails"));
    assert_eq!(start(vec![mails(), mails()], store()), twice);
    assert_eq!(start(vec![mails(), RegisteredProjection::keyed(Others)], store()), twice);
    assert_eq!(start(vec![RegisteredProjection::keyed(Others), mails()], store()), twice);
    assert_eq!(start(vec![mails()], None), RegistrationError::NoStore(name("mails")));
}

#[tokio::test(start_paused = true)]
async fn events_of_others_are_passed_over() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Taken);
    let other = StreamId::new("other", "a").unwrap();
    let event = NewEvent { name: "happened".into(), ..NewEvent::default() };
    journal.write_as_stranger(&other, vec![event; 5]);
    record(&journal, "a", 1);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.calls().len(), 1);
}
