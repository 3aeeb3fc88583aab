//! `kronika backup`: a copy beside the running service.

use crate::{arguments::Backup, failure::Failure, output, place, progress::Bar};
use kronika_log::backup;

pub fn run(arguments: &Backup) -> Result<(), Failure> {
    let files = place::files(&arguments.data.data)?;
    // Nothing is made beside a journal that is not there.
    kronika_log::Scanner::new(&files)?;
    place::must_be_another(&arguments.data.data, &arguments.to)?;
    let (_lock, destination) = place::locked(&arguments.to)?;
    let bar = Bar::new("copying", &arguments.form.quiet);
    let report = backup(&files, &destination, &mut |progress| bar.at(progress))?;
    drop(bar);
    let text = format!(
        "backed up to position {}: {} segments copied, {}; {} were there; history {}",
        report.head,
        report.segments_copied,
        output::bytes(report.bytes_copied),
        report.segments_kept,
        report.incarnation
    );
    output::print(&arguments.form, &report, text)
}
