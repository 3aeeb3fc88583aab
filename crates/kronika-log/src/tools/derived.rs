//! Footers and runs are held against the segments that they follow from. Nothing here is damage of the journal: what
//! is wrong is made anew, when it is read or at the next opening.

use super::{
    error::ToolError,
    files::JournalFiles,
    report::{Finding, VerifyReport},
};
use crate::{
    disk::{DiskFile, read_full},
    footer::Footer,
    index::{Hasher, KeyEntry, Run, RunSums, StreamEntry},
    pace::Pace,
    seal_segment::{
        FullSegment, ReadSegment, SealFault, Sealed, footer_identity, put_footer, read_segment,
    },
    segments::{footer_of, footer_path, run_of},
};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

/// Ends of the names of files with derived data.
const DERIVED_SUFFIXES: [&str; 2] = [".footer", ".run"];

/// Whether a file holds derived data.
pub(crate) fn is_derived(name: &str) -> bool {
    DERIVED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Holds footers and runs against the log, in which no damage was found. Footers are made once more, byte by byte;
/// of runs the sums over all that they hold are compared.
pub(crate) fn verify_derived(
    files: &JournalFiles,
    names: &[String],
    report: &mut VerifyReport,
) -> Result<(), ToolError> {
    let mut runs = names.iter().filter_map(|name| run_of(name)).collect::<Vec<_>>();
    runs.sort_unstable();
    let mut footers = names.iter().filter_map(|name| footer_of(name)).collect::<Vec<_>>();
    footers.sort_unstable();
    let sums = segments(files, &footers, report)?;
    for (first, last) in runs {
        let covered = first.checked_sub(1).and_then(|from| sums.get(from as usize..last as usize));
        let name = format!("{first:08}-{last:08}.run");
        let Some(covered) = covered.filter(|covered| !covered.is_empty()) else {
            report.notes.push(format!("{name} is not used, since a footer is missing"));
            continue;
        };
        let sum = covered.iter().fold(RunSums::default(), |sum, one| sum.plus(one));
        let held = Run::open(&*files.disk, &files.path, (first, last), u64::MAX)
            .and_then(|run| run.sums());
        match held {
            Ok(held) if held == sum => {}
            Ok(_) => {
                report.find(Finding::derived(&name, 0, "it holds something else than its segments"))
            }
            // The process that writes has replaced it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound && report.in_use => {}
            Err(error) => report.find(Finding::derived(&name, 0, error.to_string())),
        }
    }
    Ok(())
}

/// What the runs of the segments with footers must hold, one by one from the first on.
fn segments(
    files: &JournalFiles,
    footers: &[u32],
    report: &mut VerifyReport,
) -> Result<Vec<RunSums>, ToolError> {
    let mut sums = Vec::new();
    let mut before = Sealed::new();
    let mut salt = None;
    for (segment, found) in (1..).zip(footers) {
        if *found != segment {
            report.notes.push(format!("{segment:08}.footer is missing: it will be made anew"));
            return Ok(sums);
        }
        let name = format!("{segment:08}.footer");
        let opened = files.open_segment(segment)?;
        let salt = *salt.get_or_insert(opened.header.salt);
        let footer = match Footer::open(&*files.disk, &files.path, segment) {
            Ok(footer) => footer,
            Err(error) => {
                report.find(Finding::derived(&name, 0, error.to_string()));
                return Ok(sums);
            }
        };
        let (seal, check) = (opened.header.seal(), opened.header.check());
        let full = FullSegment { segment, seal, check, end: footer.header.end };
        let (hasher, pace) = (Hasher::new(salt), Pace::at_once());
        let read = read_segment(&*files.disk, &files.path, hasher, full, &before, &pace);
        let ReadSegment { contents, header, behind } = match read {
            Ok(read) => read,
            // The log was found sound: the footer's end is wrong, or the segment is read no longer.
            Err(SealFault::Damaged(damage)) => {
                let what = format!("it does not fit its segment: {damage}");
                report.find(Finding::derived(&name, 0, what));
                return Ok(sums);
            }
            Err(SealFault::Io(error)) => return Err(ToolError::reading(&files.path, error)),
        };
        let made = Arc::new(InMemory::default());
        let identity = footer_identity(report.incarnation, salt, segment);
        let to = Arc::clone(&made) as Arc<dyn DiskFile>;
        let failed = |error| ToolError::reading(&footer_path(&files.path, segment), error);
        put_footer(to, &identity, header, &contents, &behind.state, &pace).map_err(failed)?;
        if let Some(offset) = made.differs(files, segment).map_err(failed)? {
            let what = "it holds something else than its segment";
            report.find(Finding::derived(&name, offset, what));
            return Ok(sums);
        }
        let mut sum = RunSums::default();
        contents.entries.iter().for_each(|entry: &StreamEntry| sum.entry(&entry.encode()));
        contents.keys.iter().for_each(|key: &KeyEntry| sum.key(&key.encode()));
        sums.push(sum);
        before = behind;
    }
    Ok(sums)
}

/// A file in memory.
#[derive(Debug, Default)]
struct InMemory(Mutex<Vec<u8>>);

impl InMemory {
    /// The first byte in which the footer of a segment is another one.
    fn differs(&self, files: &JournalFiles, segment: u32) -> io::Result<Option<u64>> {
        let path = footer_path(&files.path, segment);
        let file = files.disk.open(&path, crate::disk::OpenMode::Read)?;
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = vec![0; made.len()];
        let read = read_full(&*file, &mut found, 0)?;
        let whole = file.length()? == made.len() as u64;
        let same = found[..read].iter().zip(&*made).take_while(|(one, other)| one == other);
        let same = same.count();
        Ok((same < made.len() || !whole).then_some(same as u64))
    }
}

impl DiskFile for InMemory {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = bytes.get(offset as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset as usize + bytes.len();
        let length = kept.len().max(end);
        kept.resize(length, 0);
        kept[offset as usize..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).len() as u64)
    }
}
