//! One word for each thing: words of other frameworks are named, with ours.
//!
//! Only words that hardly mean anything else are looked for; which word is right in a sentence is for the
//! reader. They are found in prose and in names alike: `EventStore`, `event_store` and "event stores".

use super::{
    Finding, Project,
    exemptions::{OTHER_WORDS, covers},
};

/// Theirs, in single words, and ours.
const WORDS: &[(&[&str], &str)] = &[
    (&["envelope"], "recorded event"),
    (&["persistence", "id"], "stream id"),
    (&["aggregate", "root"], "aggregate"),
    (&["event", "store"], "journal"),
    (&["sequence", "number"], "version (in a stream) or position (in a partition)"),
    (&["sequence", "nr"], "version (in a stream) or position (in a partition)"),
    (&["fencing", "token"], "epoch"),
    (&["offset", "store"], "checkpoint"),
    (&["read", "side", "processor"], "projection"),
    (&["materialized", "view"], "read model"),
    (&["event", "adapter"], "upcaster"),
    (&["schema", "version"], "schema number"),
    (&["saga"], "process manager"),
    (&["memento"], "snapshot"),
];

/// Sources and documents use the words of the glossary.
pub(crate) fn are_of_the_glossary(project: &Project) -> Vec<Finding> {
    let looked_at = project.files.iter().filter(|file| {
        let ends = |end| file.path.ends_with(end);
        (ends(".rs") || ends(".md")) && !covers(OTHER_WORDS, &file.path)
    });
    let found = looked_at.flat_map(|file| {
        file.lines().flat_map(move |(number, line)| {
            let words = words(line);
            let theirs = WORDS.iter().filter(move |(theirs, _)| contains(&words, theirs));
            theirs.map(move |(theirs, ours)| {
                let message = format!("{:?} is called {ours} here", theirs.join(" "));
                Finding::error(file.place(number), message)
            })
        })
    });
    found.collect()
}

/// The words of a line in lower case; `CamelCase` and `snake_case` are several.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_lowercase = false;
    for character in line.chars() {
        if !character.is_alphanumeric() || (character.is_uppercase() && after_lowercase) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if ",;:(){}".contains(character) {
            // What stands on both sides of it is no one term.
            words.push(character.to_string());
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        after_lowercase = character.is_lowercase() || character.is_numeric();
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Whether these words follow each other, the last one perhaps in the plural.
fn contains(words: &[String], searched: &[&str]) -> bool {
    let (last, first) = searched.split_last().expect("a banned term has a word");
    let plural = |word: &str| word.strip_suffix('s').unwrap_or(word) == *last || word == *last;
    words.windows(searched.len()).any(|window| {
        let (end, begin) = window.split_last().expect("a window is as long as the term");
        begin == first && plural(end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_are_found_in_prose_and_in_names() {
        let check = |line: &str, expected: usize| {
            let project = Project::of(&[("crates/a/src/a.rs", line)]);
            assert_eq!(are_of_the_glossary(&project).len(), expected, "{line}");
        };
        check("struct EventStore;", 1);
        check("let event_store = 1;", 1);
        check("// Many event stores do.", 1);
        check("/// The persistence-id of an entity", 1);
        check("fn envelopes() {}", 1);
        check("pub const SCHEMA_VERSION: u32 = 1;", 1);
        check("the event is stored", 0);
        check("event, stored", 0);
        check("use core::{RecordedEvent, StoreFault};", 0);
        check("the read side", 0);
        check("the sagacious", 0);
    }

    #[test]
    fn the_glossary_may_name_them() {
        assert_eq!(are_of_the_glossary(&Project::of(&[("docs/glossary.md", "saga")])), []);
    }
}
