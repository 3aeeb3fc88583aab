//! Another store in a process of its own, told line by line what to do. See `bench/peers`.

use super::Fault;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The process.
pub struct Peer {
    child: Child,
    /// None when it is to end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the program; it keeps its files below the directory, and its callers run on so many threads.
    pub fn start(program: &Path, directory: &Path, threads: Option<usize>) -> Result<Self, Fault> {
        let mut command = Command::new(program);
        command.arg("--driven").arg("--directory").arg(directory);
        if let Some(threads) = threads {
            command.arg("--threads").arg(threads.to_string());
        }
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| format!("{}: {error}", program.display()))?;
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("its output is piped"));
        Ok(Self { child, commands, answers })
    }

    /// Tells it one thing and waits for the answer.
    pub fn tell(&mut self, command: &str) -> Result<Value, Fault> {
        let commands = self.commands.as_mut().expect("it was not told to end");
        writeln!(commands, "{command}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("the peers' program ended at `{command}`").into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        match answer.get("error") {
            Some(error) => Err(format!("the peers' program at `{command}`: {error}").into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    /// It ends when there are no more commands, and removes its files.
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.child.wait();
    }
}

/// A number of an answer.
pub fn number(answer: &Value, key: &str) -> f64 {
    answer[key].as_f64().unwrap_or(f64::NAN)
}
