//! Rules about documents: links lead somewhere, and nothing names the machine that it was written on.

use super::{
    Finding, Project, SourceFile,
    exemptions::{LOOKS_FOR_IT, covers},
    files::EXPECTED_IN_TIME,
};

const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Folders that exist on one machine, in every text.
const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/home/"];
/// The same, in documents only: tests may well name it.
const MACHINE_PATHS_IN_DOCUMENTS: &[&str] = &["/tmp/"];
/// Ends of host names that only one network knows.
const PRIVATE_HOSTS: &[&str] = &[".internal", ".local", ".lan", ".corp"];
/// Words in the host names of mirrors of registries.
const MIRRORS: &[&str] = &["artifactory", "nexus", "mirror", "registry."];

/// Every link of a document to a file leads to one that is tracked.
pub(crate) fn links_resolve(project: &Project) -> Vec<Finding> {
    documents(project).flat_map(|file| broken_links(project, file)).collect()
}

fn documents(project: &Project) -> impl Iterator<Item = &SourceFile> {
    project.files.iter().filter(|file| file.path.ends_with(".md"))
}

fn broken_links(project: &Project, file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (number, line) in file.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        for target in targets.filter(|_| !in_code) {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if elsewhere {
                continue;
            }
            let found = resolved(&file.path, path).is_some_and(|path| {
                project.has(&path) || EXPECTED_IN_TIME.contains(&path.as_str())
            });
            if !found {
                let message = format!("the link to {target} leads nowhere");
                findings.push(Finding::error(file.place(number), message));
            }
        }
    }
    findings
}

/// From the root; `None` where it leaves the project.
fn resolved(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// No path of one machine, no mirror of a registry: a clone works anywhere.
pub(crate) fn name_no_machine(project: &Project) -> Vec<Finding> {
    let looked_at = project.files.iter().filter(|file| !covers(LOOKS_FOR_IT, &file.path));
    let found = looked_at.flat_map(|file| {
        file.lines().flat_map(move |(number, line)| {
            let paths = machine_path(file, line).into_iter();
            let hosts = private_host(line).or_else(|| other_source(file, line)).into_iter();
            paths.chain(hosts).map(move |what| {
                Finding::error(file.place(number), format!("{what} is not there on other machines"))
            })
        })
    });
    found.collect()
}

fn machine_path(file: &SourceFile, line: &str) -> Option<String> {
    let only_documents: &[&str] =
        if file.path.ends_with(".md") { MACHINE_PATHS_IN_DOCUMENTS } else { &[] };
    let begins_there = |before: &str| {
        !before.ends_with(|last: char| last.is_alphanumeric() || "._-~}*/".contains(last))
    };
    let mut paths = MACHINE_PATHS.iter().chain(only_documents);
    let found =
        paths.find(|path| line.match_indices(**path).any(|(at, _)| begins_there(&line[..at])));
    found.map(|path| format!("the path {path}"))
}

fn private_host(line: &str) -> Option<String> {
    let hosts = line.split("://").skip(1).map(|rest| {
        let end = rest.find(|last: char| !(last.is_alphanumeric() || ".-".contains(last)));
        &rest[..end.unwrap_or(rest.len())]
    });
    let private = |host: &&str| {
        PRIVATE_HOSTS.iter().any(|end| host.ends_with(end))
            || MIRRORS.iter().any(|word| host.contains(word))
    };
    hosts.into_iter().find(private).map(|host| format!("the host {host}"))
}

/// `Cargo.lock` and cargo's configuration name the one public registry.
fn other_source(file: &SourceFile, line: &str) -> Option<String> {
    let lock = file.path == "Cargo.lock"
        && line.strip_prefix("source = ").is_some_and(|source| source.trim_matches('"') != INDEX);
    let configured = file.path.starts_with(".cargo/")
        && (line.starts_with("[source") || line.starts_with("[registr"));
    (lock || configured).then(|| format!("the source of packages {line}"))
}

/// A visible change has a place to be told at.
pub(crate) fn changelog_has_a_place_for_changes(project: &Project) -> Vec<Finding> {
    let changelog = project.files.iter().find(|file| file.path == "CHANGELOG.md");
    let without = changelog.filter(|file| !file.lines().any(|(_, line)| line == "## [Unreleased]"));
    let message = "has no section `## [Unreleased]`";
    without.map(|file| Finding::error(&file.path, message)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_an_error() {
        let check = |text: &str, expected: usize| {
            let project = Project::of(&[("docs/book/a.md", text), ("docs/b.md", ""), ("c.rs", "")]);
            assert_eq!(links_resolve(&project).len(), expected, "{text}");
        };
        check("[b](../b.md), [c](../../c.rs#L1), [a](a.md)", 0);
        check("[folder](../book/), [top](#top), [web](https://example.org/x)", 0);
        check("[not yet written](../../README.md)", 0);
        check("[b](b.md) and [c](../c.rs)", 2);
        check("[out](../../../c.rs)", 1);
        check("```\n[b](b.md)\n```\n[b](b.md)", 1);
    }

    #[test]
    fn what_only_one_machine_knows_is_an_error() {
        let check = |path: &str, text: &str, expected: usize| {
            assert_eq!(name_no_machine(&Project::of(&[(path, text)])).len(), expected, "{text}");
        };
        check("docs/a.md", "see `/tmp/a`", 1);
        check("src/a.rs", "see \"/tmp/a\"", 0);
        check("src/a.rs", "see \"/root/a\"", 1);
        check("src/a.rs", "GET crates/work/a and $HOME/work/", 0);
        check("docs/a.md", "https://cargo.example.internal/index", 1);
        check("docs/a.md", "https://artifactory.example.org/index", 1);
        check("docs/a.md", "https://docs.rs/kronika", 0);
        check("Cargo.lock", &format!("source = \"{INDEX}\""), 0);
        check("Cargo.lock", "source = \"registry+https://example.org/index\"", 1);
        check(".cargo/config.toml", "[source.crates-io]", 1);
    }

    #[test]
    fn a_changelog_without_a_place_for_changes_is_an_error() {
        let check = |text: &str, expected: usize| {
            let project = Project::of(&[("CHANGELOG.md", text)]);
            assert_eq!(changelog_has_a_place_for_changes(&project).len(), expected);
        };
        check("# Changelog\n\n## [Unreleased]\n", 0);
        check("# Changelog\n\n## [0.1.0]\n", 1);
    }
}
