//! Why a lock file of shapes and a build do not go together.

use std::{env, path::PathBuf, thread};

/// Why a lock file of shapes and a build do not go together, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShapesError {
    /// There is no file yet.
    #[error("{}: there is no such file: write it with `{}`, and commit it", file.display(), how_to_write())]
    Missing {
        /// Where it was looked for.
        file: PathBuf,
    },
    /// All is compatible, and the file lacks something.
    #[error(
        "{}: the file lacks what this build has\n\n{}\n\nrenew it with `{}`, and commit it",
        file.display(), news.join("\n"), how_to_write()
    )]
    Outdated {
        /// The file.
        file: PathBuf,
        /// What it lacks, each in one line.
        news: Vec<String>,
    },
    /// What is recorded or kept would be misread. The file is not renewed.
    #[error(
        "{}: a shape was changed incompatibly, and the file is not renewed over it\n\n{}",
        file.display(), faults.join("\n\n")
    )]
    Incompatible {
        /// The file.
        file: PathBuf,
        /// What was changed, each with what to write.
        faults: Vec<String>,
    },
    /// The file cannot be used, or something named in the test has no shape.
    #[error("{}: {why}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// What is wrong, and the way out.
        why: String,
    },
}

/// The command line that runs this test again, as far as it is known.
fn how_to_write() -> String {
    let package = env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}")).unwrap_or_default();
    let test =
        thread::current().name().filter(|name| *name != "main").map(|name| format!(" {name}"));
    format!("{}=write cargo test{package}{}", super::VARIABLE, test.unwrap_or_default())
}
