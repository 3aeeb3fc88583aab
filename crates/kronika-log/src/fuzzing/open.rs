//! A valid journal, changed, then opened, read and written to: nothing panics or hangs, refusals have types and change
//! nothing, and what was not written is never read, unless somebody could make the checks fit.

use super::{
    Input, block_on,
    forge::{Files, Forgery},
    image::{Image, Reads, all_appends, all_events, image, open as open_log},
};
use crate::{Log, OpenError, SimulatedDisk};
use kronika_core::{
    Append, AppendId, Epoch, Journal, Loading, NewEvent, PartitionId, RecordedAppend,
    RecordedEvent, StreamId, Timestamp, Version,
};

/// Changes of one journal.
const CHANGES_MAX: usize = 16;
/// Seed of the disks: nothing is left to chance on them.
const SEED: u64 = 1;

/// What is expected of a journal whose checks were made to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Belief {
    /// It may tell anything.
    InForgeries,
    /// It tells what was written, as if no checks could be made to fit: for a test of this checker.
    InNothing,
}

/// Changes one of the journals as the input says, opens it and reads everything.
///
/// # Errors
/// Says which promise was broken.
pub fn open(input: &[u8], belief: Belief) -> Result<(), String> {
    let mut input = Input(input);
    let image = image(input.u8());
    let how = input.u8();
    let reads = if how & 4 == 0 { Reads::FromFiles } else { Reads::FromMemory };
    let forgery = match how % 4 {
        0 | 1 => Forgery::None,
        2 => Forgery::Checks,
        _ => Forgery::Chain,
    };
    let disk = image.disk.copy(SEED);
    let mut files = Files::of(&disk);
    let head = |files: &Files| {
        let at = files.paths.iter().position(|path| path.ends_with("head"));
        at.map(|at| files.contents[at].clone())
    };
    let published = head(&files);
    let unchanged = input.is_used_up();
    for _ in 0..CHANGES_MAX {
        if input.is_used_up() {
            break;
        }
        files.change(&mut input);
    }
    files.forge(forgery);
    files.put(&disk);
    let known = Known {
        image,
        reads,
        strict: forgery == Forgery::None || belief == Belief::InNothing,
        complete: head(&files) == published,
        unchanged,
    };
    known.holds(&disk)
}

/// What is known of a journal that was changed.
struct Known {
    image: &'static Image,
    reads: Reads,
    /// Nothing is read that was not written.
    strict: bool,
    /// The published head is there, so nothing is missing at the end.
    complete: bool,
    /// It has to open.
    unchanged: bool,
}

impl Known {
    fn holds(&self, disk: &SimulatedDisk) -> Result<(), String> {
        let before = Files::of(disk);
        let log = match open_log(disk, self.reads) {
            Ok(log) => log,
            Err(error) if self.unchanged => return Err(format!("a whole one is refused: {error}")),
            Err(error) => return refused(&error, &before, &Files::of(disk)),
        };
        let events = all_events(&log);
        let appends = all_appends(&log);
        // Damage in a sealed segment is found when it is read: named, and told instead of what stands there.
        let named = |error: &String| {
            error.starts_with("the journal is damaged: segment ") || error.contains("made anew")
        };
        let found = events.as_ref().err().is_some_and(named);
        if !self.unchanged && (found || appends.as_ref().err().is_some_and(named)) {
            return Ok(());
        }
        if self.strict {
            let events = events.as_ref().map_err(|error| format!("read after opening: {error}"))?;
            self.were_written(events)?;
            self.appends_were_written(
                &appends.map_err(|error| format!("read by stream: {error}"))?,
            )?;
        }
        goes_on(disk, log, events.map_or(0, |events| events.len()))
    }

    /// They are all events up to the end of a commit; up to the last, if that was published.
    fn were_written(&self, events: &[RecordedEvent]) -> Result<(), String> {
        if let Some((found, _)) =
            events.iter().zip(&self.image.events).find(|(found, written)| found != written)
        {
            return Err(format!("was not written: {found:?}"));
        }
        let count = events.len() as u64;
        let last = self.image.events.len() as u64;
        if !self.image.ends.contains(&count) || (self.complete && count != last) {
            return Err(format!("{count} of {last} events are left"));
        }
        Ok(())
    }

    fn appends_were_written(
        &self,
        appends: &[(StreamId, Vec<RecordedAppend>)],
    ) -> Result<(), String> {
        for ((stream, found), (_, written)) in appends.iter().zip(&self.image.appends) {
            if !written.starts_with(found) || (self.complete && found.len() < written.len()) {
                return Err(format!("the appends of {stream} were not written: {found:?}"));
            }
        }
        Ok(())
    }
}

/// A refusal has a type that tells what to do, and nothing of the log was changed.
fn refused(error: &OpenError, before: &Files, after: &Files) -> Result<(), String> {
    let typed = matches!(
        error,
        OpenError::Damaged(_) | OpenError::Newer { .. } | OpenError::Unknown { .. }
    );
    if !typed {
        return Err(format!("not a refusal: {error:?}"));
    }
    let same = before.log().eq(after.log());
    if same { Ok(()) } else { Err(format!("refused, and yet changed: {error}")) }
}

/// What was opened takes an append, and has it when it is opened again.
fn goes_on(disk: &SimulatedDisk, log: Log, events: usize) -> Result<(), String> {
    let stream = StreamId::new("fuzzed", "new").expect("the name is valid");
    let epoch = block_on(log.epoch(stream.slice()));
    let epoch: Epoch = epoch.map_err(|error| format!("the epoch of a slice: {error}"))?;
    let event = NewEvent { name: "said".into(), body: "{}".into(), ..NewEvent::default() };
    let append = Append {
        id: AppendId::from_parts(Timestamp::new(0), 99),
        stream,
        expected: Version::ZERO,
        epoch,
        loading: Loading::new(1),
        events: vec![event],
        command: "say".into(),
        more: None,
    };
    let done = block_on(log.append(vec![append]));
    let done = done.into_iter().next().expect("there is a result for each append");
    done.map_err(|error| format!("does not go on: {error}"))?;
    drop(log);
    let again = open_log(disk, Reads::FromFiles)
        .map_err(|error| format!("cannot be opened again: {error}"))?;
    let head = block_on(again.head(PartitionId::default()));
    let head = head.map_err(|error| format!("the head: {error}"))?;
    if (head.position.get() as usize) <= events {
        return Err(format!("{head:?} is not behind {events} events"));
    }
    Ok(())
}
