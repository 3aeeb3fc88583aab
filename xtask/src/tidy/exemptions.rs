//! What a rule lets pass by name, each with the reason. An exemption that nothing needs is an error.

use super::{Finding, Project};

/// A file or a folder, and why.
pub(crate) struct Exemption {
    path: &'static str,
    reason: &'static str,
}

/// Without `//!`.
pub(crate) const NO_SUBJECT: &[Exemption] = &[Exemption {
    path: "crates/kronika-macros/tests/ui",
    reason: "inputs of compile-fail tests, whose line numbers stand in the expected output",
}];

/// May use words that the glossary replaces.
pub(crate) const OTHER_WORDS: &[Exemption] = &[
    Exemption { path: "bench/peers/src/stores", reason: "calls other stores by their own names" },
    Exemption { path: "docs/glossary.md", reason: "maps the words of other frameworks" },
    Exemption { path: "docs/notes", reason: "notes compare with other frameworks" },
    Exemption { path: "xtask/src/tidy", reason: "names what it looks for" },
];

/// May hold what the rules about sources look for.
pub(crate) const LOOKS_FOR_IT: &[Exemption] =
    &[Exemption { path: "xtask/src/tidy", reason: "names what it looks for" }];

/// Tests that sleep by the wall clock.
pub(crate) const SLEEPS: &[Exemption] = &[Exemption {
    path: "crates/kronika-runtime/tests/simulation",
    reason: "the clock is paused by the runtime that every run builds",
}];

/// Whether one of the exemptions covers the path.
pub(crate) fn covers(exemptions: &[Exemption], path: &str) -> bool {
    exemptions.iter().any(|exemption| exemption.covers(path))
}

impl Exemption {
    fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// What is let pass is still there.
pub(crate) fn are_needed(project: &Project) -> Vec<Finding> {
    let all = [NO_SUBJECT, OTHER_WORDS, LOOKS_FOR_IT, SLEEPS].into_iter().flatten();
    let gone = all.filter(|exemption| !project.has(exemption.path));
    gone.map(|Exemption { path, reason }| {
        let message = format!("is exempt ({reason}) but not there: remove the exemption");
        Finding::error(*path, message)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exemption_covers_a_file_or_a_folder_and_not_its_neighbour() {
        let exemption = Exemption { path: "docs/notes", reason: "test" };
        assert!(exemption.covers("docs/notes") && exemption.covers("docs/notes/a.md"));
        assert!(!exemption.covers("docs/notes.md"));
    }

    #[test]
    fn an_exemption_for_nothing_is_an_error() {
        assert!(!are_needed(&Project::default()).is_empty());
    }
}
