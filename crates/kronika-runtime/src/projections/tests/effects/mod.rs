//! Handlers that reach out: what was sent, how often, in which order, and what became of what failed.

mod beginning;
mod delivery;
mod failing;

use super::{fakes::*, *};
use crate::{EffectSettings, RegistrationError};
use kronika_core::{
    About, Begins, EffectError, EffectKey, Effects, EventId, Order, Perform, ProjectionName,
};
use std::{collections::BTreeMap, future::pending};

/// Mails about each event of a stream.
#[derive(Clone)]
pub struct Mails<const AT_HEAD: bool = false, const TOTAL: bool = false> {
    post: Arc<Post>,
}

/// The other side: it notes what reaches it, and answers as it is told.
pub struct Post {
    answers: Mutex<Answers>,
    calls: watch::Sender<Vec<Call>>,
    inside: Mutex<BTreeMap<String, usize>>,
}

type Answers = Box<dyn Fn(&Call) -> Answer + Send>;

/// What reached the other side.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    key: String,
    id: String,
    version: u64,
    /// How often it came, from 1, as its key tells.
    time: usize,
    at: Instant,
    /// Calls on their way with it, itself included.
    beside: usize,
}

#[derive(Clone, Copy)]
pub enum Answer {
    Taken,
    TakenAfter(Duration),
    Busy,
    Refused,
    Panic,
    Never,
}

impl<const AT_HEAD: bool, const TOTAL: bool> Mails<AT_HEAD, TOTAL> {
    fn answering(answers: impl Fn(&Call) -> Answer + Send + 'static) -> Self {
        let post = Post {
            answers: Mutex::new(Box::new(answers)),
            calls: watch::channel(Vec::new()).0,
            inside: Mutex::default(),
        };
        Self { post: Arc::new(post) }
    }
    fn answer(&self, answers: impl Fn(&Call) -> Answer + Send + 'static) {
        *self.post.answers.lock().unwrap() = Box::new(answers);
    }
    fn calls(&self) -> Vec<Call> {
        self.post.calls.borrow().clone()
    }
    async fn until(&self, calls: usize) {
        let mut watch = self.post.calls.subscribe();
        let there = watch.wait_for(|all| all.len() >= calls);
        tokio::time::timeout(LONG, there).await.expect("so many come").unwrap();
    }
    /// The versions that came for a stream, in the order in which they came.
    fn versions(&self, id: &str) -> Vec<u64> {
        let of = self.calls().into_iter().filter(|call| call.id == id);
        of.map(|call| call.version).collect()
    }
    fn register(&self) -> Vec<RegisteredProjection> {
        vec![RegisteredProjection::effects(self.clone())]
    }
}

impl<const AT_HEAD: bool, const TOTAL: bool> Effects for Mails<AT_HEAD, TOTAL> {
    const NAME: &'static str = "mails";
    const ORDER: Order = if TOTAL { Order::Total } else { Order::Stream };
    const BEGINS: Begins = if AT_HEAD { Begins::AtHead } else { Begins::AtStart };
    type Follows = (Counter,);
}

/// A call that is on its way until this is dropped.
struct Inside<'a>(&'a Post, &'a str);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.0.inside.lock().unwrap().get_mut(self.1).unwrap() -= 1;
    }
}

impl<const AT_HEAD: bool, const TOTAL: bool> Perform<Counter> for Mails<AT_HEAD, TOTAL> {
    async fn perform(
        &self,
        _: &Counted,
        about: &About<'_>,
        key: &EffectKey,
    ) -> Result<(), EffectError> {
        let beside = {
            let mut inside = self.post.inside.lock().unwrap();
            *inside.entry(about.id().to_owned()).or_default() += 1;
            assert!(inside[about.id()] == 1, "one event of a stream after the other");
            inside.values().sum()
        };
        let _inside = Inside(&self.post, about.id());
        let mut call = Call {
            key: key.to_string(),
            id: about.id().to_owned(),
            version: about.version.get(),
            time: 1,
            at: Instant::now(),
            beside,
        };
        self.post.calls.send_modify(|calls| {
            call.time += calls.iter().filter(|other| other.key == call.key).count();
            calls.push(call.clone());
        });
        let answer = (self.post.answers.lock().unwrap())(&call);
        match answer {
            Answer::Taken => {}
            Answer::TakenAfter(time) => sleep(time).await,
            Answer::Busy => Err("the post is busy")?,
            Answer::Refused => return Err(EffectError::refused("nobody lives there")),
            Answer::Panic => panic!("the letter burns"),
            Answer::Never => pending().await,
        }
        Ok(())
    }
}

fn start<const AT_HEAD: bool, const TOTAL: bool>(
    journal: &MemoryJournal,
    store: &FakeStore,
    mails: &Mails<AT_HEAD, TOTAL>,
) -> Projections {
    start_with(journal, store, mails, EffectSettings::default())
}

fn start_with<const AT_HEAD: bool, const TOTAL: bool>(
    journal: &MemoryJournal,
    store: &FakeStore,
    mails: &Mails<AT_HEAD, TOTAL>,
    effects: EffectSettings,
) -> Projections {
    let (journal, store) = (Arc::new(journal.clone()), Arc::new(store.clone()));
    let settings = ProjectionSettings { effects, ..ProjectionSettings::default() };
    let registered = mails.register();
    Projections::start(journal, Some(store), registered, settings, Environment::real()).unwrap()
}

async fn caught_up(journal: &MemoryJournal, projections: &Projections) {
    let waited = projections.wait_for(&["mails"], &head(journal).await, LONG).await;
    assert_eq!(waited, Waited::There, "{projections:?}");
}

/// Ends it where it is. Its tasks learn of it when they are next polled: the clock moves on once they have.
async fn crash(projections: Projections) {
    drop(projections);
    sleep(Duration::from_nanos(1)).await;
}

fn id() -> ReadModelId {
    let name = ProjectionName::new("mails").unwrap();
    ReadModelId { name, generation: Generation::new(1), run: 1 }
}

/// The key of each event, in the order in which they were recorded.
fn keys(journal: &MemoryJournal) -> Vec<String> {
    let key = |event: EventId| format!("mails/{event}");
    journal.everything().iter().flat_map(|it| &it.events).map(|event| key(event.id)).collect()
}
