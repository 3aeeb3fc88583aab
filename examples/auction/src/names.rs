//! Names of bidders and items, as they come in: 1 to 255 bytes of text without control characters.

use serde::{Deserialize, Deserializer, de::Error};

const BYTES_MAX: usize = 255;

/// Whether a text can be a name.
pub fn is_plain(text: &str) -> bool {
    (1..=BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

/// Reads a name; what is none is refused by its place in the body.
pub fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refused = || Error::custom("a name has 1 to 255 bytes and no control characters");
    is_plain(&text).then_some(text).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        let check = |text: &str, expected| assert_eq!(is_plain(text), expected, "{text:?}");
        check("b0001", true);
        check("Zoë at the café", true);
        check("", false);
        check("a\0b", false);
        check("a\nb", false);
        check(&"x".repeat(255), true);
        check(&"x".repeat(256), false);
        check(&"ë".repeat(128), false);
    }
}
