//! How far a caller has seen a journal, as a text that it may hand on.

use crate::{
    append::Mark,
    ids::{Incarnation, PartitionId, Position},
};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// How far a caller has seen a journal: an incarnation and, for each partition, a position with a check of
/// its event. As text it is opaque, of `A–Z a–z 0–9 - . _ ~`.
///
/// Tokens of one history are merged by the maximum for each partition; those of different ones cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    incarnation: Incarnation,
    /// The lowest partition that was seen stands apart: with one partition a token costs no allocation.
    first: Option<Mark>,
    others: BTreeMap<PartitionId, Mark>,
}

/// Two tokens are of different histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("history diverged: a token of incarnation {theirs} meets incarnation {ours}")]
pub struct HistoryDiverged {
    /// What was held.
    pub ours: Incarnation,
    /// What was met.
    pub theirs: Incarnation,
}

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this service")]
pub struct TokenError;

/// Longest token text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

impl Token {
    /// Nothing seen yet.
    pub fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, first: None, others: BTreeMap::new() }
    }

    /// Everything up to a mark seen.
    pub fn of(incarnation: Incarnation, mark: Mark) -> Self {
        let mut token = Self::new(incarnation);
        token.see(mark);
        token
    }

    /// Everything up to a mark seen as well.
    pub fn see(&mut self, mark: Mark) {
        if mark.position == Position::ZERO {
            return;
        }
        let mut mark = mark;
        let first = self.first.get_or_insert(mark);
        if mark.partition < first.partition {
            std::mem::swap(&mut mark, first);
        }
        let seen = if mark.partition == first.partition {
            first
        } else {
            self.others.entry(mark.partition).or_insert(mark)
        };
        if seen.position < mark.position {
            *seen = mark;
        }
    }

    /// What the other has seen as well.
    pub fn merge(&mut self, other: &Self) -> Result<(), HistoryDiverged> {
        if self.incarnation != other.incarnation {
            return Err(HistoryDiverged { ours: self.incarnation, theirs: other.incarnation });
        }
        other.marks().for_each(|mark| self.see(mark));
        Ok(())
    }

    /// Which history it is of.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// How far each partition was seen.
    pub fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        self.first.into_iter().chain(self.others.values().copied())
    }

    /// How far one partition was seen.
    pub fn mark(&self, partition: PartitionId) -> Mark {
        let seen = self.marks().find(|mark| mark.partition == partition);
        seen.unwrap_or(Mark { partition, ..Mark::default() })
    }
}

/// `k1.` incarnation, then for each partition `.partition-position-check`, numbers in hexadecimal.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k1.{:x}", self.incarnation.get())?;
        for mark in self.marks() {
            let Mark { partition, position, check } = mark;
            write!(f, ".{:x}-{:x}-{check:x}", partition.get(), position.get())?;
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TokenError);
        }
        let mut parts = text.strip_prefix("k1.").ok_or(TokenError)?.split('.');
        let incarnation = parts.next().and_then(|part| hexadecimal(part, 32)).ok_or(TokenError)?;
        let mut token = Self::new(Incarnation::new(incarnation));
        for part in parts {
            let mut numbers = part.split('-');
            let mut number = |digits| numbers.next().and_then(|part| hexadecimal(part, digits));
            let partition = number(4).ok_or(TokenError)?;
            let position = number(16).filter(|position| *position > 0).ok_or(TokenError)?;
            let check = number(8).ok_or(TokenError)?;
            let mark = Mark {
                partition: PartitionId::new(partition as u16),
                position: Position::new(position as u64),
                check: check as u32,
            };
            if numbers.next().is_some() || token.mark(mark.partition).position > Position::ZERO {
                return Err(TokenError);
            }
            token.see(mark);
        }
        Ok(token)
    }
}

fn hexadecimal(text: &str, digits_max: usize) -> Option<u128> {
    let plain = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain || text.is_empty() || text.len() > digits_max {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(partition: u16, position: u64, check: u32) -> Mark {
        Mark { partition: PartitionId::new(partition), position: Position::new(position), check }
    }

    #[test]
    fn text_and_token_are_each_others_inverse() {
        let mut token = Token::of(Incarnation::new(u128::MAX - 5), mark(0, 17, 0xdead_beef));
        token.see(mark(3, u64::MAX, 0));
        let text = token.to_string();
        assert_eq!(text, "k1.fffffffffffffffffffffffffffffffa.0-11-deadbeef.3-ffffffffffffffff-0");
        assert_eq!(text.parse(), Ok(token));
        assert_eq!("k1.7".parse(), Ok(Token::new(Incarnation::new(7))));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let long = format!("k1.1{}", ".0-1-1".repeat(1000));
        for text in [
            "",
            "17",
            "k1.",
            "k1.x",
            "k1.1.",
            "k1.1.0-1",
            "k1.1.0-1-1-1",
            "k1.1.0-0-0",
            "k1.1.0-1-1.0-2-2",
            "k1.1.+0-1-1",
            "k2.1",
            "k1.1.10000-1-1",
            &long,
        ] {
            assert_eq!(text.parse::<Token>(), Err(TokenError), "{text}");
        }
    }

    #[test]
    fn merging_takes_the_maximum_of_each_partition_and_refuses_another_history() {
        let incarnation = Incarnation::new(1);
        let mut token = Token::of(incarnation, mark(0, 5, 5));
        let mut other = Token::of(incarnation, mark(0, 4, 4));
        other.see(mark(1, 9, 9));
        token.merge(&other).unwrap();
        assert_eq!(token.marks().collect::<Vec<_>>(), [mark(0, 5, 5), mark(1, 9, 9)]);
        assert!(token.merge(&Token::new(Incarnation::new(2))).is_err());
    }
}
