//! The name of one aggregate's events.

use crate::ids::Slice;
use std::{fmt, hash, sync::Arc};

/// Longest aggregate type in bytes.
pub const TYPE_BYTES_MAX: usize = 64;
/// Longest aggregate id in bytes.
pub const ID_BYTES_MAX: usize = 255;

/// One aggregate's events: its type and its id, written `type/id`. Cheap to clone.
///
/// The type is `a-z`, then `a-z`, `0-9` and `-`, at most [`TYPE_BYTES_MAX`] bytes. The id is 1 to
/// [`ID_BYTES_MAX`] bytes of UTF-8 without control characters; it may contain `/`.
#[derive(Clone)]
pub struct StreamId {
    name: Arc<str>,
    type_bytes: u8,
    slice: Slice,
}

/// Why a text is no stream id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamIdError {
    /// The aggregate type has other characters than `a-z`, `0-9`, `-`, or is empty or too long.
    #[error(
        "aggregate type {0:?} is not 1 to {TYPE_BYTES_MAX} of a-z, 0-9 and - beginning with a letter"
    )]
    Type(String),
    /// The id is empty.
    #[error("the id is empty")]
    Empty,
    /// The id is too long.
    #[error("the id has {0} bytes, at most {ID_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// The id has a control character.
    #[error("the id has the control character {0:?}")]
    Control(char),
    /// The name of a stream lacks the slash between type and id.
    #[error("{0:?} is not of the form type/id")]
    NoSlash(String),
}

impl StreamId {
    /// The stream of an aggregate by type and id.
    pub fn new(aggregate_type: &str, id: &str) -> Result<Self, StreamIdError> {
        check_type(aggregate_type)?;
        check_id(id)?;
        Ok(Self::checked(format!("{aggregate_type}/{id}").into(), aggregate_type.len()))
    }

    /// From the whole name, `type/id`.
    pub fn parse(name: &str) -> Result<Self, StreamIdError> {
        let (aggregate_type, id) =
            name.split_once('/').ok_or_else(|| StreamIdError::NoSlash(name.to_owned()))?;
        check_type(aggregate_type)?;
        check_id(id)?;
        Ok(Self::checked(name.into(), aggregate_type.len()))
    }

    fn checked(name: Arc<str>, type_bytes: usize) -> Self {
        let slice = Slice::of(&name);
        let type_bytes = u8::try_from(type_bytes).expect("a type has at most 64 bytes");
        Self { name, type_bytes, slice }
    }

    /// The whole name, `type/id`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The aggregate type.
    pub fn aggregate_type(&self) -> &str {
        &self.name[..usize::from(self.type_bytes)]
    }

    /// The aggregate's id.
    pub fn id(&self) -> &str {
        &self.name[usize::from(self.type_bytes) + 1..]
    }

    /// The slice it falls into.
    pub fn slice(&self) -> Slice {
        self.slice
    }
}

/// Checks an aggregate type, as [`StreamId`] defines it.
pub fn check_type(aggregate_type: &str) -> Result<(), StreamIdError> {
    let bytes = aggregate_type.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let fits = bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.len() <= TYPE_BYTES_MAX
        && bytes.iter().all(plain);
    if fits { Ok(()) } else { Err(StreamIdError::Type(aggregate_type.to_owned())) }
}

/// Checks an aggregate's id, as [`StreamId`] defines it.
pub fn check_id(id: &str) -> Result<(), StreamIdError> {
    if id.is_empty() {
        return Err(StreamIdError::Empty);
    }
    if id.len() > ID_BYTES_MAX {
        return Err(StreamIdError::TooLong(id.len()));
    }
    match id.chars().find(|character| character.is_control()) {
        Some(control) => Err(StreamIdError::Control(control)),
        None => Ok(()),
    }
}

impl PartialEq for StreamId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.name, &other.name) || self.name == other.name
    }
}
impl Eq for StreamId {}
impl PartialOrd for StreamId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for StreamId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}
impl hash::Hash for StreamId {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
impl std::borrow::Borrow<str> for StreamId {
    fn borrow(&self) -> &str {
        &self.name
    }
}
impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_and_id_are_told_apart_at_the_first_slash() {
        let stream = StreamId::parse("auction/a/b").unwrap();
        assert_eq!((stream.aggregate_type(), stream.id()), ("auction", "a/b"));
        assert_eq!(stream, StreamId::new("auction", "a/b").unwrap());
    }

    #[test]
    fn what_is_no_stream_id_is_refused_by_kind() {
        let check =
            |name: &str, expected| assert_eq!(StreamId::parse(name), Err(expected), "{name}");
        check("auction", StreamIdError::NoSlash("auction".into()));
        check("Auction/a", StreamIdError::Type("Auction".into()));
        check("/a", StreamIdError::Type(String::new()));
        check("auction/", StreamIdError::Empty);
        check("auction/a\nb", StreamIdError::Control('\n'));
        check(&format!("auction/{}", "x".repeat(256)), StreamIdError::TooLong(256));
    }
}
