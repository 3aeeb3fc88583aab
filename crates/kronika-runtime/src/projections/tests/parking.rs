//! A key whose event fails waits with all its later events; the others go on.

use super::{fakes::*, *};
use kronika_core::{
    About, Act, By, Folded, KeyText, On, Order, ParkedRequest, Projection, ReadModelId,
};
use std::collections::HashSet;

/// [`Tallies`] that refuse some streams, or panic at them, until they are mended.
#[derive(Clone, Default)]
pub struct Picky<const BY_STREAM: bool = false> {
    refuses: Arc<Mutex<HashSet<String>>>,
    panics: bool,
}

impl<const BY_STREAM: bool> Picky<BY_STREAM> {
    fn refusing(ids: &[&str]) -> Self {
        let picky = Self::default();
        picky.refuse(ids);
        picky
    }
    fn refuse(&self, ids: &[&str]) {
        *self.refuses.lock().unwrap() = ids.iter().map(|&id| id.to_owned()).collect();
    }
}

impl<const BY_STREAM: bool> Projection for Picky<BY_STREAM> {
    const NAME: &'static str = "tallies";
    const ORDER: Order = if BY_STREAM { Order::Stream } else { Order::Key };
    type Key = String;
    type Row = Tally;
    type Follows = (Counter,);
}

impl<const BY_STREAM: bool> On<Counter> for Picky<BY_STREAM> {
    fn keys(&self, _: &Counted, about: &About<'_>) -> impl IntoIterator<Item = String> {
        [about.id().to_owned()]
    }
    fn on(&self, row: &mut Option<Tally>, key: &String, _: &Counted, about: &About<'_>) -> Folded {
        row.get_or_insert(Tally { count: 0 }).count += 1;
        // From the third event on.
        let refuses = self.refuses.lock().map(|refuses| refuses.contains(key));
        if refuses.unwrap_or(true) && about.version.get() > 2 {
            assert!(!self.panics, "{key} panics");
            return Err(format!("{key} is not to my taste").into());
        }
        Ok(())
    }
}

fn start_picky<const BY_STREAM: bool>(
    journal: &MemoryJournal,
    store: &FakeStore,
    picky: &Picky<BY_STREAM>,
) -> Projections {
    let registered = vec![RegisteredProjection::keyed(picky.clone())];
    let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
    let settings = ProjectionSettings { batch_events_max: 7, ..ProjectionSettings::default() };
    Projections::start(journal, Some(store), registered, settings, Environment::real()).unwrap()
}

pub fn id() -> ReadModelId {
    let (name, generation) = ("tallies", Generation::new(1));
    ReadModelId { name: kronika_core::ProjectionName::new(name).unwrap(), generation, run: 1 }
}

fn key(text: &str) -> KeyText {
    KeyText::new(text).unwrap()
}

async fn ask(projections: &Projections, text: &str, request: ParkedRequest) {
    let act = Act::Parked(id(), key(text), request);
    projections.act(act, By::new("ann", "it was mended")).await.unwrap();
}

async fn until_parked(projections: &Projections, keys: usize) {
    until(projections, |status| status.parked.len() == keys).await;
}

async fn check_parking<const BY_STREAM: bool>(picky: Picky<BY_STREAM>, text: &str, cause: &str) {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    for _ in 0..4 {
        ["a", "b", "c"].iter().for_each(|id| record(&journal, id, 2));
    }
    let projections = start_picky(&journal, &store, &picky);
    caught_up(&journal, &projections).await;
    assert_eq!((store.tally("a"), store.tally("c")), (Some(8), Some(8)));
    assert_eq!(store.tally("b"), Some(2), "what came before stays");
    let parked = &store.parked_keys()[0];
    assert_eq!((parked.key.as_str(), parked.letters), (text, 6));
    assert_eq!(parked.first.version.get(), 3);
    assert!(parked.cause.contains(cause), "{}", parked.cause);
    assert_eq!(projections.status()[0].events, 24, "letters are handled too");
    // Later events wait behind it, in other batches and after a restart.
    record(&journal, "b", 1);
    record(&journal, "a", 1);
    caught_up(&journal, &projections).await;
    projections.stop().await;
    let projections = start_picky(&journal, &store, &picky);
    record(&journal, "b", 1);
    caught_up(&journal, &projections).await;
    assert_eq!((store.tally("a"), store.tally("b")), (Some(9), Some(2)));
    assert_eq!(store.parked_keys()[0].letters, 8);
    let token = head(&journal).await;
    let waited = projections.wait_for_key("tallies", &key(text), &token, LONG).await;
    // By stream it cannot be told which rows lack its events: then all that is parked is counted.
    assert_eq!(matches!(waited, Waited::Parked { .. }), !BY_STREAM, "{waited:?}");
    assert_eq!(projections.parked_count("tallies", Some(&key("a"))), usize::from(BY_STREAM));
    let waited = projections.wait_for_key("tallies", &key("a"), &token, LONG).await;
    assert_eq!(waited, Waited::There);
    // Not mended yet: one more attempt.
    let attempts = store.parked_keys()[0].attempts;
    ask(&projections, text, ParkedRequest::Retry).await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(store.parked_keys()[0].attempts, attempts + 1);
    picky.refuse(&[]);
    ask(&projections, text, ParkedRequest::Retry).await;
    until_parked(&projections, 0).await;
    assert_eq!((store.tally("b"), store.parked_keys().len()), (Some(10), 0));
    record(&journal, "b", 1);
    caught_up(&journal, &projections).await;
    assert_eq!(store.tally("b"), Some(11));
}

#[tokio::test(start_paused = true)]
async fn a_failing_key_waits_and_the_others_go_on() {
    check_parking(Picky::<false>::refusing(&["b"]), "b", "not to my taste").await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_stream_waits_and_the_others_go_on() {
    check_parking(Picky::<true>::refusing(&["b"]), "counter/b", "not to my taste").await;
}

#[tokio::test(start_paused = true)]
async fn a_panicking_key_waits_and_the_others_go_on() {
    let picky = Picky::<false> { panics: true, ..Picky::refusing(&["b"]) };
    check_parking(picky, "b", "b panics").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_mended_drains_by_itself_within_its_retries() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "b", 5);
    let picky = Picky::<false>::refusing(&["b"]);
    let projections = start_picky(&journal, &store, &picky);
    caught_up(&journal, &projections).await;
    sleep(Duration::from_secs(6)).await;
    assert_eq!(store.parked_keys()[0].attempts, 2);
    picky.refuse(&[]);
    sleep(Duration::from_secs(21)).await;
    assert_eq!((store.tally("b"), store.parked_keys().len()), (Some(5), 0));
    // And what is never mended is not tried for ever.
    picky.refuse(&["a"]);
    record(&journal, "a", 5);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(store.parked_keys()[0].attempts, 4);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_letter_is_left_out_and_dropped_ones_too() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 6);
    record(&journal, "b", 6);
    let picky = Picky::<false>::refusing(&["a", "b"]);
    let projections = start_picky(&journal, &store, &picky);
    until_parked(&projections, 2).await;
    picky.refuse(&[]);
    ask(&projections, "a", ParkedRequest::Skip).await;
    until_parked(&projections, 1).await;
    assert_eq!(store.tally("a"), Some(5));
    ask(&projections, "b", ParkedRequest::Drop).await;
    until_parked(&projections, 0).await;
    assert_eq!(store.tally("b"), Some(2));
    record(&journal, "b", 1);
    caught_up(&journal, &projections).await;
    assert_eq!(store.tally("b"), Some(3));
}

#[tokio::test(start_paused = true)]
async fn drains_are_not_repeated_where_the_store_could_not_tell() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    record(&journal, "a", 600);
    let picky = Picky::<false>::refusing(&["a"]);
    let projections = start_picky(&journal, &store, &picky);
    caught_up(&journal, &projections).await;
    for silent in 1..4 {
        picky.refuse(&[]);
        store.commit_in_silence(silent);
        ask(&projections, "a", ParkedRequest::Retry).await;
        until_parked(&projections, 0).await;
        assert_eq!(store.tally("a"), Some(600 * silent as i64));
        picky.refuse(&["a"]);
        store.commit_in_silence(silent);
        record(&journal, "a", 600);
        caught_up(&journal, &projections).await;
        assert_eq!(store.parked_keys()[0].letters, 600);
    }
}

/// Then it is not the events' fault.
#[tokio::test(start_paused = true)]
async fn many_parked_keys_stop_the_projection_and_lose_nothing() {
    let (journal, store) = (MemoryJournal::new(1), FakeStore::default());
    let ids: Vec<_> = (0..30).map(|number| format!("k{number}")).collect();
    ids.iter().for_each(|id| record(&journal, id, 4));
    let picky = Picky::<false>::refusing(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let run = |parked_keys_max| {
        let registered = vec![RegisteredProjection::keyed(picky.clone())];
        let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
        let settings = ProjectionSettings { parked_keys_max, ..ProjectionSettings::default() };
        Projections::start(journal, Some(store), registered, settings, Environment::real()).unwrap()
    };
    let projections = run(10);
    let error = until(&projections, |status| status.state.is_over()).await.error.unwrap();
    let ProjectionError::TooManyParked { parked, max: 10 } = error else { panic!("{error:?}") };
    assert_eq!(parked, store.parked_keys().len());
    picky.refuse(&[]);
    let projections = run(10);
    caught_up(&journal, &projections).await;
    until_parked(&projections, 0).await;
    assert!(ids.iter().all(|id| store.tally(id) == Some(4)));
}
