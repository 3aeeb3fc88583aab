//! `cargo xtask lines`: the code that a user writes stays short.
//!
//! A region stands between `// lines: begin NAME` and `// lines: end NAME`. Its lines are counted as rustfmt
//! leaves them, without blank ones and comments. The first word of the name chooses the limit; regions of
//! other names are counted only.

use crate::{
    shell::Done,
    tidy::{Finding, Project, SourceFile},
};

/// An aggregate with three events, three commands and typed refusals; one more command beside its event.
const LIMITS: &[(&str, usize)] = &[("account", 78), ("auction", 78), ("command", 14)];

const BEGIN: &str = "// lines: begin ";
const END: &str = "// lines: end ";

/// Prints how long each region is.
pub(crate) fn run() -> Done {
    let project = Project::read()?;
    let regions: Vec<_> = project.sources().flat_map(regions).collect();
    for Region { name, place, lines, limit } in &regions {
        let of_limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        match lines {
            Some(lines) => println!("{place}: {name} takes {lines}{of_limit} lines"),
            None => println!("{place}: {name} has no end"),
        }
    }
    let findings: Vec<_> = regions.iter().filter_map(Region::finding).collect();
    if findings.is_empty() { Ok(()) } else { Err(format!("{} regions are wrong", findings.len())) }
}

/// The rule for `tidy`: no region is longer than its limit, and there is one for each limit.
pub(crate) fn within_limits(project: &Project) -> Vec<Finding> {
    let regions: Vec<_> = project.sources().flat_map(regions).collect();
    let absent =
        LIMITS.iter().filter(|(wanted, _)| !regions.iter().any(|one| kind(&one.name) == *wanted));
    let absent = absent.map(|(kind, _)| {
        Finding::warning("the workspace", format!("has no region `{BEGIN}{kind}` to be counted"))
    });
    regions.iter().filter_map(Region::finding).chain(absent).collect()
}

struct Region {
    name: String,
    place: String,
    /// `None` without an end.
    lines: Option<usize>,
    /// `None` if it is only counted.
    limit: Option<usize>,
}

impl Region {
    fn finding(&self) -> Option<Finding> {
        let Self { name, place, .. } = self;
        let message = match (self.lines, self.limit) {
            (None, _) => format!("region `{name}` has no end"),
            (Some(lines), Some(limit)) if lines > limit => {
                format!("region `{name}` takes {lines} lines, at most {limit} are allowed")
            }
            _ => return None,
        };
        Some(Finding::error(place, message))
    }
}

/// The first word of a region's name.
fn kind(name: &str) -> &str {
    name.split(' ').next().unwrap_or_default()
}

fn regions(file: &SourceFile) -> impl Iterator<Item = Region> + '_ {
    let named = |line: &str, marker: &str| line.trim().strip_prefix(marker).map(str::to_owned);
    file.lines().filter_map(move |(number, line)| {
        let name = named(line, BEGIN)?;
        let rest: Vec<_> = file.lines().skip(number).map(|(_, line)| line).collect();
        let end = rest.iter().position(|line| named(line, END).as_ref() == Some(&name));
        let lines = end.map(|end| rest[..end].iter().filter(|line| is_code(line)).count());
        let limit = LIMITS.iter().find(|(limited, _)| *limited == kind(&name));
        let limit = limit.map(|(_, limit)| *limit);
        Some(Region { name, place: file.place(number), lines, limit })
    })
}

fn is_code(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let project = Project::of(&[("crates/a/tests/account.rs", text)]);
        let errors = within_limits(&project).into_iter().filter(Finding::is_error);
        errors.map(|finding| finding.message).collect()
    }

    fn region(name: &str, lines: usize) -> String {
        let code = "let a = 1;\n\n    // why\n".repeat(lines);
        format!("//! Doc.\n{BEGIN}{name}\n{code}{END}{name}\nlet outside = 1;\n")
    }

    #[test]
    fn code_is_counted_without_blanks_and_comments_and_held_to_the_limit() {
        assert_eq!(messages(&region("account", 78)), [""; 0]);
        assert_eq!(messages(&region("command withdraw", 14)), [""; 0]);
        let expected = "region `command withdraw` takes 15 lines, at most 14 are allowed";
        assert_eq!(messages(&region("command withdraw", 15)), [expected]);
        assert_eq!(messages(&region("account", 79)).len(), 1);
    }

    #[test]
    fn a_region_without_end_is_an_error_and_one_without_limit_is_not() {
        assert!(messages(&format!("{BEGIN}account\nlet a = 1;\n"))[0].ends_with("has no end"));
        assert_eq!(messages(&region("bidding", 100)), [""; 0]);
    }
}
