//! At least once, with the same key each time; not again without need; in order.

use super::*;
use kronika_core::{Act, ActError, By, Stage};
use kronika_testkit::MemoryReadModels;
use std::collections::BTreeSet;

#[tokio::test(start_paused = true)]
async fn each_event_is_handled_once_where_nothing_goes_wrong() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Taken);
    let projections = start(&journal, &store, &mails);
    for _ in 0..30 {
        ["a", "b", "c"].iter().for_each(|id| record(&journal, id, 3));
        caught_up(&journal, &projections).await;
    }
    let (mut came, mut expected) = (mails.calls(), keys(&journal));
    came.sort_by(|one, other| one.key.cmp(&other.key));
    expected.sort();
    assert_eq!(
        came.iter().map(|call| &call.key).collect::<Vec<_>>(),
        expected.iter().collect::<Vec<_>>()
    );
    assert_eq!(mails.versions("b"), (1..=90).collect::<Vec<_>>());
    assert_eq!(projections.status()[0].events, 270);
}

/// The process ends after the effect and before the note of it.
#[tokio::test(start_paused = true)]
async fn what_took_place_before_a_crash_comes_again_with_the_same_key() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Taken);
    record(&journal, "a", 3);
    store.take(Duration::from_secs(1));
    let projections = start(&journal, &store, &mails);
    mails.until(3).await;
    crash(projections).await;
    assert_eq!(store.commits(), 0);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    let came: Vec<_> = mails.calls().into_iter().map(|call| (call.key, call.time)).collect();
    let once = |time| keys(&journal).into_iter().map(move |key| (key, time));
    assert_eq!(came, once(1).chain(once(2)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn over_many_crashes_none_is_lost_and_few_come_again() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
        let slow = fastrand::Rng::with_seed(seed);
        let slow = Mutex::new(slow);
        let mails = Mails::<false>::answering(move |_| match slow.lock().unwrap().u64(..10) {
            0 => Answer::Busy,
            millis => Answer::TakenAfter(Duration::from_millis(millis)),
        });
        for _ in 0..200 {
            record(&journal, &format!("k{}", random.u32(..7)), 1);
        }
        store.take(Duration::from_millis(10));
        let mut crashes = 0;
        loop {
            let projections = start(&journal, &store, &mails);
            let calls = mails.calls().len() + random.usize(1..100);
            let token = head(&journal).await;
            let caught_up = async {
                let waited = projections.wait_for(&["mails"], &token, LONG).await;
                assert_eq!(waited, Waited::There);
            };
            tokio::select! { biased;
                () = caught_up => break,
                () = mails.until(calls) => crashes += 1,
            }
        }
        assert!(crashes > 2, "{crashes}");
        let calls = mails.calls();
        let came: BTreeSet<_> = calls.iter().map(|call| call.key.clone()).collect();
        assert_eq!(came, keys(&journal).into_iter().collect());
        // First deliveries are in order by stream, and so is each repetition.
        for stream in 0..7 {
            let versions = mails.versions(&format!("k{stream}"));
            let steps = versions.windows(2).all(|pair| pair[1] <= pair[0] + 1);
            assert!(steps && versions[0] == 1, "{versions:?}");
        }
        let again = calls.iter().filter(|call| call.time > 1).count();
        assert!(again <= calls.len() / 10 * 2 + crashes * 64, "{again} after {crashes} crashes");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_repeated_while_the_store_is_away() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Taken);
    store.fail_commits((0..7).map(|_| away()));
    record(&journal, "a", 5);
    record(&journal, "b", 5);
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.calls().len(), 10);
    // Nor where it took the commit and could not tell.
    store.commit_in_silence(2);
    record(&journal, "a", 5);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.calls().len(), 15);
    // Nor where the projection failed and is tried again in the same process.
    let refused = StoreFault::Refused("not now".into());
    store.fail_commits([refused]);
    record(&journal, "b", 5);
    until_of(&projections, "mails", |status| status.state.is_over()).await;
    projections.act(Act::Resume(id()), By::new("ann", "again")).await.unwrap();
    caught_up(&journal, &projections).await;
    assert_eq!(mails.calls().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn streams_are_handled_beside_each_other_within_a_bound() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|call| {
        Answer::TakenAfter(Duration::from_millis(100 + call.version % 3))
    });
    for _ in 0..4 {
        (0..10).for_each(|number| record(&journal, &format!("k{number}"), 1));
    }
    let began = Instant::now();
    let settings = EffectSettings { streams_max: 5, ..EffectSettings::default() };
    let projections = start_with(&journal, &store, &mails, settings);
    caught_up(&journal, &projections).await;
    let took = began.elapsed().as_millis();
    assert!((800..1000).contains(&took), "{took}");
    assert_eq!(mails.calls().iter().map(|call| call.beside).max(), Some(5));
    (0..10).for_each(|number| assert_eq!(mails.versions(&format!("k{number}")), [1, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn in_total_order_one_waits_for_the_other() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let slow = |call: &Call| Answer::TakenAfter(Duration::from_millis(call.version % 3));
    let mails = Mails::<false, true>::answering(slow);
    (0..100).for_each(|number| record(&journal, &format!("k{}", number % 7), 1));
    let projections = start(&journal, &store, &mails);
    caught_up(&journal, &projections).await;
    let came: Vec<_> = mails.calls().into_iter().map(|call| call.key).collect();
    assert_eq!(came, keys(&journal));
    assert!(mails.calls().iter().all(|call| call.beside == 1));
}

#[tokio::test(start_paused = true)]
async fn no_rebuild_repeats_an_effect() {
    let (journal, store) = (MemoryJournal::new(1), MemoryReadModels::new());
    let mails = Mails::<false>::answering(|_| Answer::Taken);
    let run = || {
        let mut registered = mails.register();
        registered.push(RegisteredProjection::keyed(Tallies));
        let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
        let settings = ProjectionSettings::default();
        Projections::start(journal, Some(store), registered, settings, Environment::real()).unwrap()
    };
    let projections = run();
    record(&journal, "a", 5);
    caught_up(&journal, &projections).await;
    let by = || By::new("ann", "to see");
    let rebuild = |name: &str| {
        let name = ProjectionName::new(name).unwrap();
        Act::Rebuild { name, generation: None, hold: false, events_per_second: None }
    };
    projections.act(rebuild("tallies"), by()).await.unwrap();
    until(&projections, |status| status.run == 2 && status.stage == Stage::Live).await;
    assert_eq!(mails.calls().len(), 5);
    for act in [rebuild("mails"), Act::Switch(id())] {
        let refused = projections.act(act, by()).await;
        let Err(ActError::Refused(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("would do again what it has done"), "{why}");
    }
    projections.stop().await;
    // A tool that acts on the store alone does not know: the run does nothing and says why.
    kronika_core::ReadModelStore::act(&store, rebuild("mails"), by()).await.unwrap();
    let projections = run();
    let second = ReadModelId { run: 2, ..id() };
    until_of(&projections, "mails", |status| status.state == ProjectionState::Running).await;
    let mut watch = projections.watch_read_model(&second).unwrap();
    let failed = watch.wait_for(|status| status.state.is_over()).await.unwrap().clone();
    let error = failed.error.unwrap().to_string();
    assert!(error.contains("another run would do again what it has done: drop run 2"), "{error}");
    record(&journal, "a", 1);
    caught_up(&journal, &projections).await;
    assert_eq!(mails.versions("a"), [1, 2, 3, 4, 5, 6]);
    projections.act(Act::Drop(second), by()).await.unwrap();
}

/// Who reads what he wrote does not wait for mails about it.
#[tokio::test(start_paused = true)]
async fn who_waits_for_all_read_models_does_not_wait_for_effects() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let mails = Mails::<false>::answering(|_| Answer::Never);
    let projections = start(&journal, &store, &mails);
    record(&journal, "a", 1);
    let token = head(&journal).await;
    let soon = Duration::from_secs(5);
    assert_eq!(projections.wait_for(&[], &token, soon).await, Waited::There);
    assert_eq!(projections.wait_for(&["mails"], &token, soon).await, Waited::Late);
}
