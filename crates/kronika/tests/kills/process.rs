//! A life in a process of its own, and the moment of its death.

use crate::{LIFE, check::Known, life::Life};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// A process that tells nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(180);

/// When a process is to die: so long after it told so many lines.
#[derive(Clone, Debug)]
pub struct Death {
    pub lines: usize,
    pub after: Duration,
}

/// What a process told.
#[derive(Default, Debug)]
pub struct Told {
    pub acknowledged: BTreeSet<u64>,
    /// By projection, how far a reader saw it.
    pub seen: Known,
    /// Acts that were taken on, by their first words.
    pub acts: BTreeMap<String, usize>,
    pub refused: usize,
    pub is_caught_up: bool,
}

impl Told {
    fn hear(&mut self, line: &str) {
        match *line.split(' ').collect::<Vec<_>>() {
            ["acknowledged", number] => {
                self.acknowledged.insert(number.parse().unwrap());
            }
            ["seen", name, position] => {
                let seen = self.seen.entry(name.to_owned()).or_default();
                *seen = position.parse::<u64>().unwrap().max(*seen);
            }
            ["done:", act, what, ..] => {
                // `3 workers for counts …`, `skip key t1 of counts …`, `drop counts …`.
                let is_first = act.parse::<u16>().is_ok() || ["key", "all"].contains(&what);
                let act = if is_first { format!("{act} {what}") } else { act.to_owned() };
                *self.acts.entry(act).or_default() += 1;
            }
            ["not", "done:", ..] => self.refused += 1,
            ["caught", "up"] => self.is_caught_up = true,
            _ => {}
        }
    }
}

/// Lets a process live, until its death or to its end; gives what it told and how it ended.
pub fn live(life: &Life, death: Option<Death>) -> (Told, ExitStatus) {
    let errors = File::create(life.directory.join("errors")).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_service", "--nocapture"])
        .env(LIFE, serde_json::to_string(life).unwrap())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap();
    let (told, lines) = (&mut Told::default(), lines_of(&mut child));
    match death {
        Some(death) => {
            hear(&lines, told, death.lines, None);
            hear(&lines, told, usize::MAX, Instant::now().checked_add(death.after));
            // Where it has ended by itself, its status tells.
            child.kill().unwrap();
        }
        None => hear(&lines, told, usize::MAX, None),
    }
    // What it told before it died counts.
    hear(&lines, told, usize::MAX, None);
    (std::mem::take(told), child.wait().unwrap())
}

/// Whole lines, as they come.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || {
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            match line.strip_suffix('\n') {
                Some(whole) if sender.send(whole.to_owned()).is_ok() => line.clear(),
                _ => break,
            }
        }
    });
    receiver
}

/// Hears so many lines, or until then, or until it says no more.
fn hear(lines: &Receiver<String>, told: &mut Told, count: usize, until: Option<Instant>) {
    for _ in 0..count {
        let patience =
            until.map_or(SILENCE_MAX, |until| until.saturating_duration_since(Instant::now()));
        match lines.recv_timeout(patience) {
            Ok(line) => told.hear(&line),
            Err(RecvTimeoutError::Timeout) if until.is_some() => return,
            Err(RecvTimeoutError::Timeout) => panic!("the process says nothing any more: {told:?}"),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
