//! Which crate may depend on which: arrows point at what is depended on, and back ends stand apart.

use super::{
    Finding, Project,
    project::{Dependency, Package},
};

/// Feature that compiles switches for planted faults in, off until a test turns them on.
const PLANTED_FAULTS: &str = "planted-faults";

const CORE: &str = "kronika-core";
const MACROS: &str = "kronika-macros";
const RUNTIME: &str = "kronika-runtime";
const TESTKIT: &str = "kronika-testkit";

const BACK_ENDS: &[&str] =
    &["kronika-log", "kronika-sqlite", "kronika-postgres", "kronika-cassandra", "kronika-kafka"];
/// They put the parts together, so they may depend on every part but the testkit.
const ON_TOP: &[&str] = &["kronika", "kronika-cli"];

/// What a crate may depend on, and for its tests as well.
struct Allowed {
    always: &'static [&'static str],
    in_tests: &'static [&'static str],
}

impl Allowed {
    /// `None`: everything but the testkit, and that for tests.
    fn of(package: &str) -> Option<Self> {
        let allowed = |always, in_tests| Some(Self { always, in_tests });
        match package {
            CORE => allowed(&[], &[MACROS]),
            MACROS => allowed(&[], &[CORE]),
            RUNTIME => allowed(&[CORE], &[MACROS, TESTKIT]),
            TESTKIT => allowed(&[CORE, MACROS, RUNTIME], &[]),
            "kronika-http" | "kronika-console" => {
                allowed(&[CORE, RUNTIME], &[MACROS, TESTKIT, "kronika-http"])
            }
            "xtask" => allowed(&[], &[]),
            _ if BACK_ENDS.contains(&package) => allowed(&[CORE, RUNTIME], &[MACROS, TESTKIT]),
            _ => None,
        }
    }
}

/// Every crate depends only on what stands below it; for its tests also on itself, with more features.
pub(crate) fn keeps_its_layers(project: &Project) -> Vec<Finding> {
    let ours = |name: &str| project.packages.iter().any(|package| package.name == name);
    let mut findings = Vec::new();
    for package in &project.packages {
        let inside = package.dependencies.iter().filter(|dependency| ours(&dependency.name));
        let wrong = inside.filter(|dependency| !is_allowed(package, dependency));
        findings.extend(wrong.map(|Dependency { name, is_dev, .. }| {
            let tests = if *is_dev { " for its tests" } else { "" };
            Finding::error(&package.name, format!("may not depend on {name}{tests}"))
        }));
        if package.name.starts_with("kronika") && !is_known(&package.name) {
            let message = "has no place in the layers: give it one in xtask/src/tidy/graph.rs";
            findings.push(Finding::error(&package.name, message));
        }
    }
    findings
}

fn is_known(package: &str) -> bool {
    ON_TOP.contains(&package) || package == "kronika-bench" || Allowed::of(package).is_some()
}

fn is_allowed(package: &Package, dependency: &Dependency) -> bool {
    let (on, in_tests) = (dependency.name.as_str(), dependency.is_dev);
    if on == package.name {
        return in_tests;
    }
    match Allowed::of(&package.name) {
        Some(allowed) => {
            allowed.always.contains(&on) || (in_tests && allowed.in_tests.contains(&on))
        }
        None => on != TESTKIT || in_tests || package.name == "kronika-bench",
    }
}

/// Planted faults are for tests: no default and no dependency outside tests turns them on, so that no
/// release build has them.
pub(crate) fn plants_no_fault_in_a_release(project: &Project) -> Vec<Finding> {
    let mut findings = Vec::new();
    let turns_on = |features: &[String]| {
        features.iter().any(|one| one == PLANTED_FAULTS || one.ends_with("/planted-faults"))
    };
    for package in &project.packages {
        let by_feature = package
            .features
            .iter()
            .filter(|(name, enables)| *name != PLANTED_FAULTS && turns_on(enables))
            .map(|(name, _)| format!("feature `{name}`"));
        let by_dependency = package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.is_dev && turns_on(&dependency.features))
            .map(|dependency| format!("the dependency on {}", dependency.name));
        findings.extend(by_feature.chain(by_dependency).map(|by| {
            let message = format!("{by} turns `{PLANTED_FAULTS}` on outside tests");
            Finding::error(&package.name, message)
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, is_dev: bool, features: &[&str]) -> Dependency {
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        Dependency { name: name.to_owned(), is_dev, features }
    }

    fn project(packages: Vec<(&str, Vec<Dependency>)>) -> Project {
        let packages = packages.into_iter().map(|(name, dependencies)| Package {
            name: name.to_owned(),
            dependencies,
            ..Package::default()
        });
        Project { packages: packages.collect(), ..Project::default() }
    }

    #[test]
    fn a_crate_depends_only_on_what_stands_below_it() {
        let check = |package: &str, on: &str, is_dev: bool, expected: bool| {
            let project = project(vec![(package, vec![dependency(on, is_dev, &[])]), (on, vec![])]);
            assert_eq!(keeps_its_layers(&project).is_empty(), expected, "{package} on {on}");
        };
        check(CORE, MACROS, true, true);
        check(CORE, MACROS, false, false);
        check(RUNTIME, CORE, false, true);
        check(RUNTIME, "kronika-log", false, false);
        check("kronika-log", "kronika-sqlite", false, false);
        check("kronika-log", "kronika-sqlite", true, false);
        check("kronika-log", TESTKIT, true, true);
        check("kronika-log", "kronika-log", true, true);
        check("kronika-http", TESTKIT, false, false);
        check("kronika", "kronika-log", false, true);
        check("auction", "kronika", false, true);
        check("auction", TESTKIT, false, false);
        check("auction", TESTKIT, true, true);
        check("kronika-bench", TESTKIT, false, true);
        check("kronika-unheard-of", CORE, false, false);
    }

    #[test]
    fn planted_faults_are_for_tests() {
        let check = |is_dev: bool, expected: usize| {
            let log = dependency("kronika-log", is_dev, &[PLANTED_FAULTS]);
            let project = project(vec![("kronika", vec![log])]);
            assert_eq!(plants_no_fault_in_a_release(&project).len(), expected);
        };
        check(true, 0);
        check(false, 1);
        let mut by_default = project(vec![("kronika-log", vec![])]);
        let features = &mut by_default.packages[0].features;
        features.insert("default".to_owned(), vec![PLANTED_FAULTS.to_owned()]);
        assert_eq!(plants_no_fault_in_a_release(&by_default).len(), 1);
    }
}
