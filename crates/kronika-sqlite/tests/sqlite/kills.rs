//! The process is killed while batches are on their way, and another one goes on.

use crate::common::*;
use kronika_testkit::MemoryJournal;
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Names the file to the process that is to be killed.
const FILE: &str = "KRONIKA_TEST_KILLED_FILE";
const EVENTS: u64 = 3000;

/// The same journal in every process: with the clock paused, ids and times follow from the seed.
fn journal() -> MemoryJournal {
    let journal = MemoryJournal::new(1);
    record_by_chance(&journal, 9, EVENTS as usize);
    journal
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

/// Follows the journal and says how far it has come, until it is killed.
#[test]
fn killed_process() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    runtime().block_on(async {
        let journal = journal();
        tokio::time::resume();
        let read_models = open(&path);
        let projections = start(&journal, &read_models, purses());
        let mut watch = projections.watch("purses").unwrap();
        loop {
            let events = watch.borrow_and_update().events;
            writeln!(std::io::stderr(), "events {events}").unwrap();
            watch.changed().await.unwrap();
        }
    });
}

fn spawn(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["kills::killed_process", "--exact", "--nocapture"]).env(FILE, path);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Kills it as soon as it has come so far; gives how far it said that it was.
fn kill_at(path: &Path, at: u64) -> u64 {
    let mut child = spawn(path);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let events = lines.filter_map(|line| line.unwrap().strip_prefix("events ")?.parse().ok());
    let told = events.into_iter().find(|events: &u64| *events >= at);
    child.kill().unwrap();
    child.wait().unwrap();
    told.expect("it follows until it is killed")
}

#[test]
fn a_killed_process_leaves_rows_and_checkpoint_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rm");
    let mut told = 0;
    for at in [1, 300, 700, 701, 1500, 2300, 2990] {
        told = kill_at(&path, at).max(told);
    }
    runtime().block_on(async {
        let journal = journal();
        tokio::time::resume();
        let read_models = open(&path);
        let events = read_models.query(|connection| {
            connection.query_row("SELECT events FROM kronika_checkpoints", [], |row| row.get(0))
        });
        let events: u64 = events.await.unwrap();
        assert!(events >= told, "what was told is in the file: a kill is no loss of power");
        let projections = start(&journal, &read_models, purses());
        caught_up(&journal, &projections).await;
        assert_eq!(projections.status()[0].events, EVENTS);
        assert_eq!(found(&read_models).await, expected(&journal));
    });
}
