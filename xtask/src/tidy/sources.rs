//! Rules about what stands in Rust sources and neither rustfmt nor clippy looks at.

use super::{
    Finding, Project, SourceFile,
    exemptions::{LOOKS_FOR_IT, SLEEPS, covers},
};

/// What may not stand in any source, and what to do instead.
const OPEN: &[(&str, &str)] = &[
    ("todo!(", "finish it"),
    ("unimplemented!(", "finish it, or return a typed error"),
    ("#[ignore", "a test runs or is removed"),
    ("rustfmt::skip", "write it so that rustfmt leaves it readable"),
    ("async_trait", "`-> impl Future + Send` does"),
    ("FIXME", "mend it, or write a note that says why not"),
    ("XXX", "say in a sentence what is meant"),
];

/// A `lib.rs` is a map: private modules and one list of names, without globs.
pub(crate) fn map_by_name(project: &Project) -> Vec<Finding> {
    let looked_at = project.sources().filter(|file| !covers(LOOKS_FOR_IT, &file.path));
    looked_at.flat_map(unnamed).collect()
}

fn unnamed(file: &SourceFile) -> Vec<Finding> {
    let is_map = file.path.ends_with("/lib.rs");
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        let line = line.trim_start();
        if is_map && line.starts_with("pub mod ") {
            findings.push(Finding::error(file.place(number), "`pub mod`: name what is public"));
        }
        if line.starts_with("pub use ") && line.trim_end().ends_with("::*;") {
            findings
                .push(Finding::error(file.place(number), "`pub use …::*`: name what is public"));
        }
    }
    findings
}

/// Nothing is left half done.
pub(crate) fn leave_nothing_open(project: &Project) -> Vec<Finding> {
    let looked_at = project.sources().filter(|file| !covers(LOOKS_FOR_IT, &file.path));
    let found = looked_at.flat_map(|file| {
        file.lines().flat_map(move |(number, line)| {
            let open = OPEN.iter().filter(move |(what, _)| stands_alone(line, what));
            open.map(move |(what, instead)| {
                Finding::error(file.place(number), format!("`{what}`: {instead}"))
            })
        })
    });
    found.collect()
}

/// A word within a longer name is another word.
fn stands_alone(line: &str, what: &str) -> bool {
    let part_of_name =
        |character: char| character.is_alphanumeric() || character == '_' || character == '-';
    line.match_indices(what).any(|(begin, _)| {
        let joined_before = line[..begin].ends_with(part_of_name);
        let joined_behind =
            what.ends_with(part_of_name) && line[begin + what.len()..].starts_with(part_of_name);
        !joined_before && !joined_behind
    })
}

/// Tests wait for a condition, or pause the clock: with `start_paused` a sleep takes no time.
pub(crate) fn tests_do_not_sleep(project: &Project) -> Vec<Finding> {
    let looked_at = project
        .sources()
        .filter(|file| !covers(LOOKS_FOR_IT, &file.path) && !covers(SLEEPS, &file.path));
    looked_at.flat_map(sleeps).collect()
}

fn sleeps(file: &SourceFile) -> Vec<Finding> {
    let paused =
        file.text().contains("start_paused = true") || file.text().contains("time::pause()");
    let tests = file.lines().skip(file.lines_before_tests());
    let sleeps = tests.filter(|(_, line)| {
        line.contains("thread::sleep") || (!paused && line.contains("time::sleep"))
    });
    let message = "a test sleeps: wait for a condition or pause the clock";
    sleeps.map(|(number, _)| Finding::error(file.place(number), message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&Project) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Project::of(&[(path, text)])).len()
    }

    #[test]
    fn a_map_names_what_is_public() {
        let check = |path: &str, text: &str, expected: usize| {
            assert_eq!(count(map_by_name, path, text), expected, "{text}");
        };
        check("crates/a/src/lib.rs", "mod a;\npub use a::A;\n", 0);
        check("crates/a/src/lib.rs", "pub mod a;\n", 1);
        check("crates/a/src/lib.rs", "pub use a::*;\n", 1);
        check("crates/a/src/a.rs", "pub mod b;\n", 0);
    }

    #[test]
    fn what_is_half_done_is_an_error() {
        let check = |line: &str, expected: usize| {
            assert_eq!(count(leave_nothing_open, "crates/a/src/a.rs", line), expected, "{line}");
        };
        check("todo!()", 1);
        check("unimplemented!(\"later\")", 1);
        check("#[ignore = \"slow\"]", 1);
        check("#[ignore]", 1);
        check("#[rustfmt::skip]", 1);
        check("#[async_trait]", 1);
        check("// FIXME: this", 1);
        check("let todo = todo_list();", 0);
        check("KRONIKA_XXX", 0);
    }

    #[test]
    fn a_test_that_sleeps_is_an_error_unless_the_clock_is_paused() {
        let check = |path: &str, text: &str, expected: usize| {
            assert_eq!(count(tests_do_not_sleep, path, text), expected, "{text}");
        };
        let sleep = "tokio::time::sleep(second).await;\n";
        check("crates/a/tests/a.rs", sleep, 1);
        check("crates/a/tests/a.rs", &format!("#[tokio::test(start_paused = true)]\n{sleep}"), 0);
        check("crates/a/tests/a.rs", "// start_paused = true\nstd::thread::sleep(second);\n", 1);
        check("crates/a/src/a.rs", sleep, 0);
        check("crates/a/src/a.rs", &format!("#[cfg(test)]\nmod tests {{\n{sleep}}}\n"), 1);
    }
}
