//! `kronika export`: events as JSON, one a line.

use crate::{arguments::Export, failure::Failure, place, progress::Bar};
use kronika_log::{ExportFilter, export};
use std::io::{self, BufWriter};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;

pub fn run(arguments: &Export) -> Result<(), Failure> {
    let files = place::files(&arguments.data.data)?;
    let filter = &arguments.filter;
    let (streams, types, after) = (filter.streams.clone(), filter.types.clone(), filter.after);
    let filter = ExportFilter { streams, types, after };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let bar = Bar::new("exporting", &arguments.quiet);
    export(&files, &filter, &mut out, &mut |progress| bar.at(progress))?;
    // It was flushed, or its reader is gone.
    let _ = out.into_parts();
    Ok(())
}
