//! Which stable names are allowed, and how they follow from Rust's.

use syn::{Error, Ident, LitStr, ext::IdentExt};

/// What a kind of name may consist of.
pub(crate) struct Rule {
    /// What is named, for messages: "a command".
    pub(crate) of: &'static str,
    /// What joins words.
    pub(crate) joint: char,
    /// Longest name in bytes.
    pub(crate) bytes_max: usize,
}

impl Rule {
    /// The name that the attribute gives, or else the one that follows from the identifier.
    pub(crate) fn name(&self, ident: &Ident, given: Option<&LitStr>) -> Result<String, Error> {
        let (name, span, hint) = match given {
            Some(given) => (given.value(), given.span(), ""),
            None => {
                (joined(&ident.unraw().to_string(), self.joint), ident.span(), ": give it another")
            }
        };
        if self.fits(&name) {
            return Ok(name);
        }
        let Self { of, joint, bytes_max } = self;
        let message = format!(
            "the name of {of} is `[a-z][a-z0-9{joint}]*` and at most {bytes_max} bytes long; \
             {name:?} is not{hint}"
        );
        Err(Error::new(span, message))
    }

    fn fits(&self, name: &str) -> bool {
        let plain = |character: char| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == self.joint
        };
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(plain)
            && name.len() <= self.bytes_max
    }
}

/// `BidPlaced` as `bid-placed`, `HTTPRequest` as `http-request`, `Sha256Sum` as `sha256-sum`.
fn joined(ident: &str, joint: char) -> String {
    let characters: Vec<char> = ident.chars().collect();
    let mut name = String::new();
    for (index, &character) in characters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(index + 1);
        let word_begins = character.is_uppercase()
            && before.is_some_and(|before| {
                let acronym_ends =
                    before.is_uppercase() && after.is_some_and(|after| after.is_lowercase());
                before.is_lowercase() || before.is_numeric() || acronym_ends
            });
        if word_begins {
            name.push(joint);
        }
        match character {
            '_' => name.push(joint),
            other => name.extend(other.to_lowercase()),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_an_identifier_are_joined() {
        let check = |ident: &str, expected: &str| assert_eq!(joined(ident, '-'), expected);
        check("Opened", "opened");
        check("BidPlaced", "bid-placed");
        check("HTTPRequest", "http-request");
        check("ServeHTTP", "serve-http");
        check("Sha256Sum", "sha256-sum");
        check("OpenedV2", "opened-v2");
        check("ABTest", "ab-test");
        check("snake_case", "snake-case");
        assert_eq!(joined("price_cents", '_'), "price_cents");
    }

    #[test]
    fn names_have_few_characters_and_an_end() {
        let rule = Rule { of: "a command", joint: '-', bytes_max: 8 };
        for name in ["a", "a-1", "a2345678"] {
            assert!(rule.fits(name), "{name}");
        }
        for name in ["", "A", "1a", "-a", "a_b", "a.b", "ü", "a23456789"] {
            assert!(!rule.fits(name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_named_is_said_with_the_way_out() {
        let rule = Rule { of: "a command", joint: '-', bytes_max: 64 };
        let error = rule.name(&syn::parse_quote!(Öffnen), None).unwrap_err().to_string();
        assert!(error.contains("\"öffnen\"") && error.ends_with("give it another"), "{error}");
        assert_eq!(rule.name(&syn::parse_quote!(r#Type), None).unwrap(), "type");
    }
}
