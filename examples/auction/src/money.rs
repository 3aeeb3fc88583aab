//! Whole cents, and eBay's table of increments: the arithmetic, apart from the rules.

use kronika::{CodecError, ColumnValue, Kind, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, ops};

/// An amount of money in whole cents, from 0 to 10^12.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "u64")]
pub struct Cents(#[schemars(range(max = 1_000_000_000_000_u64))] u64);

impl Cents {
    pub const MAX: u64 = 1_000_000_000_000;

    /// By how much the next bid must be higher at this price.
    pub fn increment(self) -> Self {
        Self(match self.0 {
            0..100 => 5,
            100..500 => 25,
            500..2_500 => 50,
            2_500..10_000 => 100,
            10_000..25_000 => 250,
            25_000..50_000 => 500,
            50_000..100_000 => 1_000,
            100_000..250_000 => 2_500,
            250_000..500_000 => 5_000,
            _ => 10_000,
        })
    }

    /// The amount and one increment of it.
    pub fn stepped(self) -> Self {
        self + self.increment()
    }

    pub fn get(self) -> u64 {
        self.0
    }

    /// From a decimal number of at most two places, such as `177.5`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 || whole.is_empty() {
            return None;
        }
        let cents = format!("{part:0<2}").parse::<u64>().ok()?;
        let whole = whole.parse::<u64>().ok()?.checked_mul(100)?;
        Self::try_from(whole + cents).ok()
    }
}

impl TryFrom<u64> for Cents {
    type Error = String;
    fn try_from(cents: u64) -> Result<Self, String> {
        let fits = (0..=Self::MAX).contains(&cents);
        if fits { Ok(Self(cents)) } else { Err(format!("{cents} is more than 10^12 cents")) }
    }
}

impl ops::Add for Cents {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl ops::Sub for Cents {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("only less is taken from more"))
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl ColumnValue for Cents {
    const KIND: Kind = Kind::Integer;
    fn to_value(&self) -> Value {
        self.0.to_value()
    }
    fn from_value(value: Value) -> Result<Self, CodecError> {
        u64::from_value(value).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_step_at_the_bounds_of_the_table() {
        let check = |price, step| assert_eq!(Cents(price).increment(), Cents(step), "{price}");
        check(0, 5);
        check(99, 5);
        check(100, 25);
        check(2_499, 50);
        check(2_500, 100);
        check(24_999, 250);
        check(25_000, 500);
        check(99_999, 1_000);
        check(499_999, 5_000);
        check(500_000, 10_000);
    }

    #[test]
    fn decimal_text_becomes_whole_cents_or_nothing() {
        let check =
            |text, cents: Option<u64>| assert_eq!(Cents::parse(text).map(Cents::get), cents);
        check("177.5", Some(17_750));
        check("99", Some(9_900));
        check("0.01", Some(1));
        check(".5", None);
        check("1.234", None);
        check("-1", None);
        check("1e3", None);
        check("", None);
        check("10000000000", Some(Cents::MAX));
        check("10000000000.01", None);
    }
}
