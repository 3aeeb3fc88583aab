//! Random appends: right and wrong ones, small and large, with and without events, keys and tags.

use super::model::Model;
use bytes::Bytes;
use kronika_core::{
    Append, AppendId, AppendMore, Codec, EventId, Keyed, Loading, NewEvent, Origin, Timestamp,
    Version,
};
use std::sync::Arc;

/// How a life's appends are.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Bytes of a body, at most, but for rare large ones.
    pub body_bytes: usize,
    /// Appends in a group, at most.
    pub group: usize,
    /// Whether bodies may be runs of zeros that cover sectors.
    pub sparse: bool,
    /// Large bodies: up to so many bytes.
    pub large_bytes: usize,
}

/// What the writers of the streams believe.
#[derive(Debug, Clone)]
pub struct Writers {
    /// By stream: the version if all that is on its way is recorded, and the loading in use.
    believed: Vec<(u64, Loading)>,
    loadings: u64,
}

impl Writers {
    pub fn new(streams: usize) -> Self {
        Self { believed: vec![(0, Loading::new(1)); streams], loadings: 1 }
    }

    /// A writer loads its stream anew.
    pub fn load(&mut self, model: &Model, stream: usize) {
        self.loadings += 1;
        self.believed[stream] = (model.streams[stream].version, Loading::new(self.loadings));
    }

    pub fn load_all(&mut self, model: &Model) {
        for stream in 0..self.believed.len() {
            self.load(model, stream);
        }
    }

    /// A group of appends.
    pub fn group(
        &mut self,
        model: &Model,
        habits: Habits,
        random: &mut fastrand::Rng,
    ) -> Vec<Arc<Append>> {
        let appends = random.usize(1..=habits.group);
        (0..appends).map(|_| Arc::new(self.append(model, habits, random))).collect()
    }

    fn append(&mut self, model: &Model, habits: Habits, random: &mut fastrand::Rng) -> Append {
        let stream = random.usize(..self.believed.len());
        let id = model.streams[stream].id.clone();
        let now = model.epochs[usize::from(id.slice().get())];
        let (believed, loading) = &mut self.believed[stream];
        let expected = match random.u8(..24) {
            0 => believed.saturating_sub(random.u64(..3)),
            1 => *believed + random.u64(..3),
            _ => *believed,
        };
        let epoch = match random.u8(..40) {
            0 => kronika_core::Epoch::new(now.get().saturating_sub(1)),
            1 => now.next(),
            _ => now,
        };
        let events = if random.u8(..5) == 0 { 0 } else { random.usize(1..4) };
        *believed = expected + events as u64;
        let time = Timestamp::new(1_700_000_000_000_000);
        Append {
            id: AppendId::from_parts(time, random.u64(..)),
            stream: id,
            expected: Version::new(expected),
            epoch,
            loading: *loading,
            events: (0..events).map(|_| event(habits, random)).collect(),
            command: ["deposit", "withdraw", ""][random.usize(..3)].into(),
            more: (random.u8(..3) == 0).then(|| Box::new(more(random))),
        }
    }
}

pub fn key(random: &mut fastrand::Rng) -> (Option<String>, String) {
    let principal = [None, Some("ann"), Some("bob")][random.usize(..3)];
    (principal.map(str::to_owned), format!("key{}", random.u8(..6)))
}

fn more(random: &mut fastrand::Rng) -> AppendMore {
    let (principal, key) = key(random);
    let reply = Bytes::from(vec![b'7'; random.usize(..20)]);
    let keyed = Keyed { key, fingerprint: random.u128(..), reply };
    AppendMore {
        command_body: random.bool().then(|| Bytes::from_static(b"{\"cents\":1}")),
        keyed: random.bool().then_some(keyed),
        origin: Origin { principal, ..Origin::default() },
        ..AppendMore::default()
    }
}

fn event(habits: Habits, random: &mut fastrand::Rng) -> NewEvent {
    NewEvent {
        name: "deposited".into(),
        schema: random.u32(1..3),
        codec: Codec::Json,
        body: body(habits, random),
        tags: (0..random.u8(..6).saturating_sub(3)).map(|n| format!("tag{n}")).collect(),
        occurred: (random.u8(..8) == 0).then(|| Timestamp::new(random.i64(0..1 << 50))),
        id: (random.u8(..16) == 0).then(|| EventId::new(random.u128(..))),
        metadata: None,
    }
}

fn body(habits: Habits, random: &mut fastrand::Rng) -> Bytes {
    if habits.large_bytes > 0 && random.u8(..40) == 0 {
        return Bytes::from(vec![random.lowercase() as u8; random.usize(..habits.large_bytes)]);
    }
    let length = random.usize(..=habits.body_bytes);
    match random.u8(..8) {
        0 if habits.sparse => Bytes::from(vec![0; random.usize(..3000)]),
        // Shorter than a sector: one with a single set bit cannot be told from a damaged one.
        0 => Bytes::from(vec![0; length.min(300)]),
        1 => Bytes::from(vec![0xff; length]),
        _ => {
            let mut bytes = vec![0; length];
            random.fill(&mut bytes);
            Bytes::from(bytes)
        }
    }
}
