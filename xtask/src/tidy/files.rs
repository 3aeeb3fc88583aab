//! Rules about files as a whole: what they open with, how long they are, which there must be.

use super::{
    Finding, Project,
    exemptions::{NO_SUBJECT, covers},
};

const LINES_MAX: usize = 800;
const LINES_LISTED: usize = 400;
const SIZE_BYTES_MAX: usize = 512 * 1024;

const EXPECTED: &[&str] = &[
    ".ci/run",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "deny.toml",
    "docs/README.md",
    "docs/glossary.md",
];
/// Missing ones are named, and links to them pass.
pub(crate) const EXPECTED_IN_TIME: &[&str] = &["ARCHITECTURE.md", "README.md"];

/// Every Rust file begins with what it is for.
pub(crate) fn open_with_their_subject(project: &Project) -> Vec<Finding> {
    let files = project.sources().filter(|file| !covers(NO_SUBJECT, &file.path));
    let wrong = files.filter(|file| !file.text().starts_with("//!"));
    wrong.map(|file| Finding::error(&file.path, "does not begin with `//!`")).collect()
}

/// A file has one subject; tests do not count.
pub(crate) fn are_short(project: &Project) -> Vec<Finding> {
    let long = project.sources().filter_map(|file| {
        let lines = file.lines_before_tests();
        let message = format!("has {lines} lines before its tests");
        if lines > LINES_MAX {
            return Some(Finding::error(&file.path, format!("{message}: split it")));
        }
        let listed = lines > LINES_LISTED;
        let hint = "is there a second subject?";
        listed.then(|| Finding::warning(&file.path, format!("{message}: {hint}")))
    });
    long.collect()
}

/// What is tracked is fetched by everybody, for ever.
pub(crate) fn are_small(project: &Project) -> Vec<Finding> {
    let large = project.files.iter().filter(|file| file.size_bytes > SIZE_BYTES_MAX);
    large
        .map(|file| {
            let message =
                format!("has {} bytes, at most {SIZE_BYTES_MAX} are tracked", file.size_bytes);
            Finding::error(&file.path, message)
        })
        .collect()
}

/// What a reader or a tool looks for at a fixed place.
pub(crate) fn are_there(project: &Project) -> Vec<Finding> {
    let missing = |path: &&&str| !project.has(path);
    let errors = EXPECTED
        .iter()
        .filter(missing)
        .map(|path| Finding::error(*path, "is missing or not tracked"));
    let in_time = EXPECTED_IN_TIME.iter().filter(missing);
    errors.chain(in_time.map(|path| Finding::warning(*path, "is not written yet"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_without_its_subject_is_an_error() {
        let ui = "crates/kronika-macros/tests/ui/event.rs";
        let project = Project::of(&[("a.rs", "//! A.\n"), ("b.rs", "use a;\n"), (ui, "use a;\n")]);
        let expected = [Finding::error("b.rs", "does not begin with `//!`")];
        assert_eq!(open_with_their_subject(&project), expected);
    }

    #[test]
    fn long_sources_are_listed_and_longer_ones_are_errors_without_their_tests() {
        let check = |lines: usize, expected: Option<bool>| {
            let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(1000));
            let text = format!("{}{tests}", "//! A.\n".repeat(lines));
            let findings = are_short(&Project::of(&[("a.rs", &text)]));
            assert_eq!(findings.first().map(Finding::is_error), expected, "{lines}");
        };
        check(400, None);
        check(401, Some(false));
        check(801, Some(true));
    }

    #[test]
    fn a_large_file_is_an_error() {
        let large = "x".repeat(SIZE_BYTES_MAX + 1);
        assert_eq!(are_small(&Project::of(&[("a", &large), ("b", &large[1..])])).len(), 1);
    }

    #[test]
    fn missing_files_are_named() {
        let findings = are_there(&Project::of(&[("deny.toml", ""), ("docs/glossary.md", "")]));
        let errors = findings.iter().filter(|finding| finding.is_error()).count();
        assert_eq!((errors, findings.len()), (EXPECTED.len() - 2, EXPECTED.len()));
    }
}
