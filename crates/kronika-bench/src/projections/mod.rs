//! `projections`: read models in SQLite on the embedded log, against SQLite alone and against the same without what is
//! asked about, slices in turns, in one run on one disk. What the rows mean stands in the help.

mod beside;
mod filled;
mod ledger;
mod limit;
mod options;
mod rebuild;
mod service;
mod visible;

use crate::report::Report;
pub use options::Options;
use options::ROWS;
use std::{error::Error, path::Path};

/// Why a benchmark could not be done.
pub type Fault = Box<dyn Error + Send + Sync>;

/// What all rows share.
struct Bench<'a> {
    options: &'a Options,
    report: Report,
}

/// Runs the rows that were chosen.
pub async fn bench(directory: &Path, options: &Options, report: Report) -> Result<(), Fault> {
    let bench = Bench { options, report };
    for name in ROWS.iter().filter(|name| options.has(name)) {
        let own = directory.join(name);
        std::fs::create_dir(&own)?;
        match *name {
            "rebuild" => rebuild::one(&bench, &own, name, options.accounts).await?,
            "rebuild-many" => rebuild::one(&bench, &own, name, options.many_accounts).await?,
            "rebuild-three" => rebuild::all_three(&bench, &own).await?,
            "visible" => visible::run(&bench, &own).await?,
            "beside" => beside::run(&bench, &own).await?,
            "parked" => {
                rebuild::parked(&bench, &own).await?;
                visible::parked(&bench, &own).await?;
            }
            other => unreachable!("{other} is in the list of rows"),
        }
        std::fs::remove_dir_all(&own)?;
    }
    Ok(())
}
