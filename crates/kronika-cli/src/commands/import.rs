//! `kronika import`: events from lines of JSON.

use crate::{arguments::Import, failure::Failure, output, place, progress::Bar};
use kronika_log::{DirectoryLock, ImportOptions, Log, Settings, import};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

pub fn run(arguments: &Import) -> Result<(), Failure> {
    let (mut input, total_bytes) = open(&arguments.file)?;
    let data = &arguments.data.data;
    let lock = Arc::new(DirectoryLock::acquire(data)?);
    let log = Log::open_locked(&place::journal(data), lock, Settings::default())?;
    let bar = Bar::new("importing", &arguments.form.quiet);
    let options = ImportOptions { keep_times: arguments.keep_times };
    let report =
        import(&log, &mut *input, options, &mut |done| bar.set(done, total_bytes.max(done)))?;
    drop((bar, log));
    let text = format!(
        "imported {} appends with {} events from {} lines; {} appends were there; up to position {}",
        report.appends, report.events, report.lines, report.appends_skipped, report.head
    );
    output::print(&arguments.form, &report, text)
}

/// The input, and how long it is, where that is known.
fn open(path: &Path) -> Result<(Box<dyn Read>, u64), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), 0));
    }
    let failed = |error| Failure::Words(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok((Box::new(file), bytes))
}
