//! `cargo xtask tidy`: what the house style asks for and a program can check.
//!
//! What rustfmt, clippy or the compiler check already is not checked again. A rule is a function from the
//! project to findings, with a test that shows it failing; what it lets pass by name stands in
//! [`exemptions`], with the reason.

mod docs;
mod exemptions;
mod files;
mod graph;
mod project;
mod sources;
mod words;

pub(crate) use project::{Finding, Project, SourceFile};

use crate::{lines, shell::Done};

type Rule = fn(&Project) -> Vec<Finding>;

const RULES: &[Rule] = &[
    files::open_with_their_subject,
    files::are_short,
    files::are_small,
    files::are_there,
    sources::map_by_name,
    sources::leave_nothing_open,
    sources::tests_do_not_sleep,
    words::are_of_the_glossary,
    graph::keeps_its_layers,
    graph::plants_no_fault_in_a_release,
    docs::links_resolve,
    docs::name_no_machine,
    docs::changelog_has_a_place_for_changes,
    lines::within_limits,
    exemptions::are_needed,
];

/// Prints every finding; errors fail, warnings do not.
pub(crate) fn run() -> Done {
    let project = Project::read()?;
    let findings: Vec<_> = RULES.iter().flat_map(|rule| rule(&project)).collect();
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(Finding::is_error);
    warnings.iter().for_each(|warning| println!("{warning}"));
    errors.iter().for_each(|error| println!("{error}"));
    println!(
        "tidy: {} files, {} errors, {} warnings",
        project.files.len(),
        errors.len(),
        warnings.len()
    );
    if errors.is_empty() { Ok(()) } else { Err(format!("tidy found {} errors", errors.len())) }
}
