//! What the rules look at: the files that git tracks or would track, and the packages of the workspace.

use crate::shell::{self, Done};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, process::Command};

/// The whole project, read once.
#[derive(Default)]
pub(crate) struct Project {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) packages: Vec<Package>,
}

impl Project {
    /// New files count before they are added, so that a finding comes before the commit.
    pub(crate) fn read() -> Done<Self> {
        let mut list = Command::new("git");
        list.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let root = shell::root();
        let listed = shell::output(list.current_dir(&root))?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let place = root.join(path);
            // A deleted file is still listed until the deletion is committed.
            if place.is_file() {
                let content = std::fs::read(&place)
                    .map_err(|error| format!("{path} cannot be read: {error}"))?;
                files.push(SourceFile::new(path, content));
            }
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let arguments = ["metadata", "--no-deps", "--format-version", "1"];
        let metadata = shell::output(&mut shell::cargo(&arguments))?;
        let metadata = serde_json::from_str(&metadata)
            .map_err(|error| format!("`cargo metadata` cannot be read: {error}"))?;
        Ok(Self { files, packages: Package::all(&metadata) })
    }

    /// Rust files.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// Whether there is a file or a folder of this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }

    /// Made up, for tests of the rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| SourceFile::new(path, (*text).into()));
        Self { files: files.collect(), packages: Vec::new() }
    }
}

/// One file.
pub(crate) struct SourceFile {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) size_bytes: usize,
    /// Empty for what is no UTF-8.
    text: String,
}

impl SourceFile {
    fn new(path: &str, content: Vec<u8>) -> Self {
        let size_bytes = content.len();
        let text = String::from_utf8(content).unwrap_or_default();
        Self { path: path.to_owned(), size_bytes, text }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Every line with its number, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Where a line stands, for findings.
    pub(crate) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// Whether the path's folders or the file's name say that all of it is tests.
    fn is_test(&self) -> bool {
        let mut parts = self.path.split('/').rev();
        let name = parts.next().unwrap_or_default();
        name == "tests.rs" || name.ends_with("_tests.rs") || parts.any(|folder| folder == "tests")
    }

    /// How many lines stand before the tests: a module of tests closes its file.
    pub(crate) fn lines_before_tests(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        let lines: Vec<_> = self.text.lines().collect();
        let begins = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ");
        let inline = |pair: &[&str]| begins(pair) && pair[1].ends_with('{');
        lines.windows(2).position(inline).unwrap_or(lines.len())
    }
}

/// One package of the workspace.
#[derive(Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// One entry of a package's dependencies.
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// For its tests only.
    pub(crate) is_dev: bool,
    pub(crate) features: Vec<String>,
}

impl Package {
    fn all(metadata: &Value) -> Vec<Self> {
        array(&metadata["packages"]).map(Self::of).collect()
    }

    fn of(package: &Value) -> Self {
        let features = package["features"].as_object().into_iter().flatten();
        Self {
            name: text(&package["name"]),
            dependencies: array(&package["dependencies"]).map(Dependency::of).collect(),
            features: features
                .map(|(name, enables)| (name.clone(), array(enables).map(text).collect()))
                .collect(),
        }
    }
}

impl Dependency {
    fn of(dependency: &Value) -> Self {
        Self {
            name: text(&dependency["name"]),
            is_dev: dependency["kind"] == "dev",
            features: array(&dependency["features"]).map(text).collect(),
        }
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a rule has to say.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    severity: Severity,
    place: String,
    pub(crate) message: String,
}

#[derive(Debug, PartialEq)]
enum Severity {
    Error,
    Warning,
}

impl Finding {
    /// Fails the task.
    pub(crate) fn error(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: place.into(), message: message.into() }
    }

    /// Is listed.
    pub(crate) fn warning(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: place.into(), message: message.into() }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}: {}: {}", self.place, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_told_from_code_by_place_and_by_module() {
        let check = |path: &str, text: &str, expected: usize| {
            let file = SourceFile::new(path, text.into());
            assert_eq!(file.lines_before_tests(), expected, "{path}");
        };
        check("crates/a/src/a.rs", "//! A.\nfn a() {}\n", 2);
        check("crates/a/src/a.rs", "//! A.\n#[cfg(test)]\nmod tests {\n}\n", 1);
        check("crates/a/src/a.rs", "//! A.\n#[cfg(test)]\nmod tests;\nfn a() {}\n", 4);
        check("crates/a/tests/a.rs", "//! A.\nfn a() {}\n", 0);
        check("crates/a/src/log/tests.rs", "//! A.\n", 0);
    }
}
