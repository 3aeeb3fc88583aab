//! What is kept of events that a projection could not handle: parked keys and their letters.
//!
//! A letter refers to its event, which the journal keeps; it is no copy. What is parked changes in the
//! transaction of the batch, so that no crash loses a letter or handles its event twice.

use crate::{
    ids::{PartitionId, Position, Timestamp, Version},
    projection::Value,
    recorded::RecordedEvent,
    stream::StreamId,
};
use std::{
    fmt::{self, Write},
    sync::Arc,
};

/// Longest text of a key, in bytes.
pub const KEY_TEXT_BYTES_MAX: usize = 4096;

/// What order a projection keeps, from which follows what waits when an event cannot be handled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Order {
    /// The events of a key are handled in order; a key whose event fails is parked, the others go on.
    #[default]
    Key,
    /// The events of a stream are handled in order; a stream whose event fails is parked, the others go on.
    Stream,
    /// All events are handled in order: one that fails stops the projection before it.
    Total,
}

impl Order {
    /// In one word, for tools.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Stream => "stream",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key as an operator reads and types it: its values with `/` between them, in which `%`, `/` and control
/// characters are written as in URLs, and an empty text as `%`; of a long one only the beginning, with a hash of all
/// of it. For a projection by stream, the stream's name. Cheap to clone.
///
/// ```
/// use kronika_core::{KeyText, Value};
///
/// let key = KeyText::of(&[Value::Text("a/b".into()), Value::Integer(7)]);
/// assert_eq!(key.as_str(), "a%2Fb/7");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyText(Arc<str>);

/// The text is no key's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key is 1 to {KEY_TEXT_BYTES_MAX} bytes long, this one has {0}")]
pub struct KeyTextError(usize);

impl KeyText {
    /// Of a key's values.
    pub fn of(values: &[Value]) -> Self {
        let mut text = String::new();
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                text.push('/');
            }
            match value {
                Value::Null => text.push_str("null"),
                Value::Boolean(boolean) => push(&mut text, boolean),
                Value::Integer(number) => push(&mut text, number),
                Value::Real(real) => push(&mut text, real),
                // Nothing else is written so.
                Value::Text(part) if part.is_empty() => text.push('%'),
                Value::Text(part) => part.chars().for_each(|letter| push_plain(&mut text, letter)),
                Value::Bytes(bytes) => bytes.iter().for_each(|byte| push(&mut text, Hex(*byte))),
                Value::Time(time) => push(&mut text, time.get()),
            }
        }
        if text.len() > KEY_TEXT_BYTES_MAX {
            // Its beginning to be known by, and its hash to be told apart by.
            let hash = xxhash_rust::xxh3::xxh3_128(text.as_bytes());
            text.truncate(text.floor_char_boundary(KEY_TEXT_BYTES_MAX - 64));
            push(&mut text, format_args!("%~{hash:032x}"));
        }
        Self(text.into())
    }

    /// Of a stream.
    pub fn of_stream(stream: &StreamId) -> Self {
        Self(stream.to_string().into())
    }

    /// As somebody typed it.
    pub fn new(text: &str) -> Result<Self, KeyTextError> {
        if text.is_empty() || text.len() > KEY_TEXT_BYTES_MAX {
            return Err(KeyTextError(text.len()));
        }
        Ok(Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Hex(u8);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

fn push(text: &mut String, part: impl fmt::Display) {
    write!(text, "{part}").expect("a string takes everything");
}

fn push_plain(text: &mut String, letter: char) {
    if letter.is_control() || matches!(letter, '%' | '/') {
        let mut bytes = [0; 4];
        letter.encode_utf8(&mut bytes).bytes().for_each(|byte| {
            write!(text, "%{byte:02X}").expect("a string takes everything");
        });
    } else {
        text.push(letter);
    }
}

/// Refers to an event that waits for its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Its journal partition.
    pub partition: PartitionId,
    /// Its place there.
    pub position: Position,
    /// Its stable name.
    pub event: Arc<str>,
    /// Its stream.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// When it was recorded.
    pub time: Timestamp,
}

impl Letter {
    /// Of an event.
    pub fn of(event: &RecordedEvent) -> Self {
        Self {
            partition: event.append.partition,
            position: event.position,
            event: event.name.clone(),
            stream: event.stream().clone(),
            version: event.version,
            time: event.time(),
        }
    }
}

/// A key that waits, with what stopped it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParkedKey {
    /// The key; for a projection by stream, the stream.
    pub key: KeyText,
    /// Why its first event could not be handled, as of the newest try.
    pub cause: String,
    /// The event that could not be handled: the first of its letters.
    pub first: Letter,
    /// Events that wait, the first included.
    pub letters: u64,
    /// When it was parked.
    pub parked: Timestamp,
    /// How often its first event was tried; 0 while it has only become the first one, and those before it are done
    /// with.
    pub attempts: u32,
    /// What somebody asked to be done with it, and what its projection has not done yet.
    pub asked: Option<ParkedRequest>,
}

/// What can be asked of a parked key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParkedRequest {
    /// Handle its letters in order, and let it go on.
    Retry,
    /// Leave its first letter out, which has failed, and handle the others. While its letters are being handled and
    /// the first one was not tried yet, this is a retry: nothing is left out that nobody has seen fail.
    Skip,
    /// Leave all of its letters out, and let it go on with what comes.
    Drop,
}

impl ParkedRequest {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Drop => "drop",
        }
    }

    /// From that word.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Retry, Self::Skip, Self::Drop].into_iter().find(|request| request.name() == name)
    }
}

/// A change of what is parked, stored with a batch, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParkedChange {
    /// The key waits from this letter on. It was not parked.
    Park {
        /// The key.
        key: KeyText,
        /// Why the event could not be handled.
        cause: String,
        /// The event.
        letter: Letter,
        /// Now.
        at: Timestamp,
    },
    /// One more letter of a parked key.
    Hold {
        /// The key.
        key: KeyText,
        /// The event.
        letter: Letter,
    },
    /// A letter of a parked key is done with. Where it was asked that the first one be left out, that is done: what
    /// is asked is a retry from now on, so that a crash leaves out no second one.
    Take {
        /// The key.
        key: KeyText,
        /// The event's partition.
        partition: PartitionId,
        /// Its place there.
        position: Position,
    },
    /// The first letter of a parked key was tried again and failed: one more attempt. What was asked is done with;
    /// what was asked meanwhile stays.
    Fail {
        /// The key.
        key: KeyText,
        /// Why.
        cause: String,
        /// What was asked.
        asked: Option<ParkedRequest>,
    },
    /// The key is no longer parked; what letters it still has are left out.
    Lift {
        /// The key.
        key: KeyText,
    },
}

impl ParkedChange {
    /// Whether it keeps an event as a letter.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Park { .. } | Self::Hold { .. })
    }

    /// Whose it is.
    pub fn key(&self) -> &KeyText {
        match self {
            Self::Park { key, .. }
            | Self::Hold { key, .. }
            | Self::Take { key, .. }
            | Self::Fail { key, .. }
            | Self::Lift { key } => key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_text_that_tells_them_apart() {
        let check = |values: &[Value], text: &str| assert_eq!(KeyText::of(values).as_str(), text);
        check(&[Value::Text("a".into()), Value::Text("b".into())], "a/b");
        check(&[Value::Text("a/b".into())], "a%2Fb");
        check(&[Value::Text("a%2Fb".into())], "a%252Fb");
        check(&[Value::Text("ü\n".into()), Value::Integer(-7)], "ü%0A/-7");
        check(&[Value::Bytes(vec![0, 255]), Value::Boolean(true)], "00ff/true");
        check(&[Value::Text(String::new())], "%");
        let long = |end: &str| KeyText::of(&[Value::Text("%".repeat(3000) + end)]);
        assert!(long("a") != long("b") && long("a").as_str().len() <= KEY_TEXT_BYTES_MAX);
        assert_eq!(KeyText::new(long("a").as_str()), Ok(long("a")));
    }

    #[test]
    fn typed_keys_are_bounded() {
        assert!(KeyText::new("").is_err());
        assert!(KeyText::new(&"k".repeat(KEY_TEXT_BYTES_MAX)).is_ok());
        assert!(KeyText::new(&"k".repeat(KEY_TEXT_BYTES_MAX + 1)).is_err());
    }
}
