//! Who waits for answers, and what was told: at the moment when something is told, it must be in the disk's durable
//! image. So a copy of the disk that lost everything unsynced is opened, and looked into, each time.
//!
//! It looks before every call to the disk too, in the midst of a step, where a reply before its sync would show.

use super::{
    PATH, look,
    model::{Checked, Model, State},
    now,
};
use kronika_core::{
    Append, AppendBy, Appended, ClaimError, Epoch, Journal, Mark, Ownership, PartitionId, Position,
    ReadError, SliceRange,
};
use kronika_log::{Log, Settings, SimulatedDisk};
use std::{
    cell::RefCell,
    collections::VecDeque,
    path::Path,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What was sent and not answered yet, in the order of the calls.
enum Flight {
    Group(Vec<Arc<Append>>, Waiting<Vec<Appended>>),
    Claim(SliceRange, Option<Epoch>, Waiting<Result<Ownership, ClaimError>>),
}

pub struct Witness {
    pub disk: SimulatedDisk,
    pub settings: Settings,
    pub model: Model,
    /// The log, while it is open.
    pub log: Option<Log>,
    flights: VecDeque<Flight>,
    /// Somebody who waits for the head.
    follower: Option<Waiting<Result<Mark, ReadError>>>,
    /// Up to where the durable image was looked at.
    verified: Mark,
    pub acknowledged: u64,
    /// What was durable when it was looked into last.
    image: Option<Log>,
    pub images: u64,
    /// The first thing that was wrong in the midst of a call.
    pub wrong: Option<String>,
}

thread_local! {
    static WATCHING: RefCell<Option<Rc<RefCell<Witness>>>> = const { RefCell::new(None) };
}

/// Lets a witness look before each call to its disk, until another one does.
pub fn watch(witness: &Rc<RefCell<Witness>>) {
    WATCHING.set(Some(Rc::clone(witness)));
}

/// A call to the disk is about to be done.
pub fn look_now() {
    let witness = WATCHING.with_borrow(Clone::clone);
    if let Some(witness) = witness
        && let Ok(mut witness) = witness.try_borrow_mut()
        && witness.wrong.is_none()
        && let Err(wrong) = witness.look()
    {
        witness.wrong = Some(wrong);
    }
}

impl Witness {
    pub fn new(disk: SimulatedDisk, settings: Settings, model: Model) -> Self {
        Self {
            disk,
            settings,
            model,
            log: None,
            flights: VecDeque::new(),
            follower: None,
            verified: Mark::default(),
            acknowledged: 0,
            image: None,
            images: 0,
            wrong: None,
        }
    }

    /// The log, which is open.
    pub fn log(&self) -> &Log {
        self.log.as_ref().expect("the log is open")
    }

    pub fn send(&mut self, group: Vec<Arc<Append>>) {
        for append in &group {
            self.model.send(append);
        }
        let appends = group.iter().map(|append| Append::clone(append)).collect();
        let waiting = Box::pin(self.log().append(appends));
        self.flights.push_back(Flight::Group(group, waiting));
    }

    pub fn claim(&mut self, slices: SliceRange, held: Option<Epoch>) {
        let log = self.log().clone();
        let mut waiting: Waiting<_> = Box::pin(async move { log.claim(slices, held).await });
        // It takes its place when it is polled first.
        match poll(&mut waiting) {
            Some(result) => {
                let waiting = Box::pin(std::future::ready(result));
                self.flights.push_back(Flight::Claim(slices, held, waiting));
            }
            None => self.flights.push_back(Flight::Claim(slices, held, waiting)),
        }
    }

    pub fn follow(&mut self) {
        let (log, after) = (self.log().clone(), Position::new(self.model.events.len() as u64));
        let partition = PartitionId::default();
        self.follower = Some(Box::pin(async move { log.wait_beyond(partition, after).await }));
    }

    /// Whether somebody waits for an append or a claim.
    pub fn is_waiting(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Whether an append of this stream is on its way.
    pub fn has_in_flight(&self, stream: usize) -> bool {
        let id = &self.model.streams[stream].id;
        self.flights.iter().any(|flight| match flight {
            Flight::Group(group, _) => group.iter().any(|append| append.stream == *id),
            Flight::Claim(..) => false,
        })
    }

    /// Takes the answers that are there, and checks that what was told is durable.
    pub fn look(&mut self) -> Checked {
        while let Some(flight) = self.flights.front_mut() {
            match flight {
                Flight::Group(group, waiting) => {
                    let Some(results) = poll(waiting) else { break };
                    if results.len() != group.len() {
                        return Err(format!(
                            "{} results for {} appends",
                            results.len(),
                            group.len()
                        ));
                    }
                    for (append, result) in group.iter().zip(&results) {
                        self.acknowledged += u64::from(result.is_ok());
                        self.model.answered(append, result)?;
                    }
                }
                Flight::Claim(slices, held, waiting) => {
                    let Some(result) = poll(waiting) else { break };
                    let (slices, held) = (*slices, *held);
                    self.claimed(slices, held, &result)?;
                }
            }
            self.flights.pop_front();
        }
        let mut head = self.model.head();
        if let Some(Some(followed)) = self.follower.as_mut().map(poll) {
            self.follower = None;
            head = later(head, followed.unwrap_or_default());
        }
        if let Some(log) = &self.log {
            head = later(head, look::head(log)?);
        }
        let more = head.position > self.verified.position;
        if more || !self.model.news.is_empty() || self.model.epochs_told {
            self.verify(head)?;
        }
        Ok(())
    }

    fn claimed(
        &mut self,
        slices: SliceRange,
        held: Option<Epoch>,
        result: &Result<Ownership, ClaimError>,
    ) -> Checked {
        match result {
            Ok(owned) => self.model.claimed(slices, owned.epoch),
            Err(ClaimError::Fenced { held: told, now }) => {
                let range = usize::from(slices.first())..=usize::from(slices.last());
                let epochs = &self.model.epochs[range];
                let newest = epochs.iter().max().copied().unwrap_or_default();
                let fits = held == Some(*told)
                    && *now == newest
                    && epochs.iter().any(|epoch| epoch != told);
                if fits { Ok(()) } else { Err(format!("a claim holding {held:?} got {result:?}")) }
            }
            Err(ClaimError::Unavailable(_)) => Ok(()),
            Err(_) => {
                self.model.claim_unknown(slices);
                Ok(())
            }
        }
    }

    /// Whatever was told since the last time must be in the durable image, and so must this head. An image that was
    /// looked into before will do, since what is durable stays so.
    pub fn verify(&mut self, head: Mark) -> Checked {
        if let Some(image) = self.image.take()
            && self.is_in(&image, head).is_ok()
        {
            self.image = Some(image);
        } else {
            let image = self.open_image()?;
            self.is_in(&image, head)?;
            self.image = Some(image);
        }
        self.model.news.clear();
        self.model.epochs_told = false;
        self.verified = head;
        Ok(())
    }

    /// Opens what is durable now.
    fn open_image(&mut self) -> Checked<Log> {
        self.images += 1;
        let disk = Arc::new(self.disk.durable_copy(self.images));
        let opened = Log::open_stepped(disk, Path::new(PATH), self.settings.clone());
        let (log, _) = opened.map_err(|error| format!("what is durable does not open: {error}"))?;
        Ok(log)
    }

    fn is_in(&self, image: &Log, head: Mark) -> Checked {
        for id in &self.model.news {
            let sent = &self.model.sent[id];
            let found = now(image.read_append(&sent.append.stream, AppendBy::Id(*id)))?;
            let found = found.map_err(|error| format!("{id} in the durable image: {error}"))?;
            let Some(found) = found else {
                return Err(format!("{id} was told before it was durable"));
            };
            self.model.read(&found)?;
            let first = found.events.first().map_or(Position::ZERO, |event| event.position);
            if (first, found.header.time.get()) != (sent.first, sent.time) {
                return Err(format!("{id} is durable at position {first}, told at {}", sent.first));
            }
        }
        if self.model.epochs_told {
            for (told, durable) in self.model.epochs.iter().zip(look::epochs(image)?) {
                if durable < *told {
                    return Err(format!("epoch {told} was told while {durable} was durable"));
                }
            }
        }
        let (told, durable) = (head.position, look::head(image)?.position);
        if durable < told {
            return Err(format!("position {told} was told while {durable} was durable"));
        }
        Ok(())
    }

    /// The process ends: nobody is answered any more.
    pub fn ended(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            match flight {
                Flight::Group(group, _) => {
                    for append in group {
                        let sent = self.model.sent.get_mut(&append.id).expect("it was sent");
                        if sent.state == State::Sent {
                            sent.state = State::Unknown;
                        }
                    }
                }
                Flight::Claim(slices, ..) => self.model.claim_unknown(slices),
            }
        }
        (self.follower, self.log, self.image) = (None, None, None);
    }
}

fn later(one: Mark, other: Mark) -> Mark {
    if other.position > one.position { other } else { one }
}

fn poll<T>(waiting: &mut Waiting<T>) -> Option<T> {
    match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
