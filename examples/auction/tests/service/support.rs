//! What the tests stand on: the binary, a server on a free port, and a client for it.

use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Far beyond what anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

/// The binary, told nothing by the environment of the tests.
pub fn auction(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auction"));
    for name in ["KRONIKA_DATA", "KRONIKA_LISTEN", "KRONIKA_LOG_FORM", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    auction(arguments).output().unwrap()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// It could not be done: exit code 1, nothing on standard output, and one line that says why. Gives the line.
#[track_caller]
pub fn refusal(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = error.strip_prefix("auction: ").and_then(|error| error.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("not one line after `auction: `: {error:?}"));
    assert!(!line.contains('\n'), "more than one line: {error}");
    line.to_owned()
}

/// Waits until something is so, looking again every millisecond.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "not within {LONG:?}: {what}");
        // What is waited for happens in another process, which wakes nobody here.
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Every file below a directory, but the lock, which names whoever tried last, and sockets.
pub fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.is_file() && path.file_name().unwrap() != "lock" {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Copies a data directory that nobody has open.
pub fn copy(from: &Path, to: &Path) {
    for (path, content) in contents(from) {
        let path = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A server in a process of its own; killed when it is dropped.
pub struct Server {
    process: Child,
    address: String,
    agent: ureq::Agent,
    /// Kept open: what the server prints later must have a reader.
    _out: BufReader<ChildStdout>,
    log: PathBuf,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub token: Option<String>,
    pub replayed: bool,
    pub body: Value,
}

impl Server {
    /// Serves the directory without simulated bidding.
    pub fn quiet(data: &Path) -> Self {
        Self::start(data, &["--quiet"])
    }

    pub fn start(data: &Path, more: &[&str]) -> Self {
        let log = data.with_extension("log");
        let mut command = auction(&["serve", "--listen", "127.0.0.1:0", "--data", text(data)]);
        command.args(more).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut process = command.spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.split_whitespace().next().map(str::to_owned);
        let Some(address) = address else {
            panic!("no address was printed: {}", fs::read_to_string(&log).unwrap());
        };
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(LONG)).build().into();
        Self { process, address, agent, _out: out, log }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn address(&self) -> &str {
        self.address.strip_prefix("http://").unwrap()
    }

    /// Waits until queries are answered: the tables of a new directory are made behind the first requests.
    pub fn with_read_models(self) -> Self {
        until("read models are there", || {
            ["/auctions", "/items", "/bidders/nobody"]
                .iter()
                .all(|path| self.get(path).status < 500)
        });
        self
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(format!("{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.call().unwrap())
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, &body.to_string(), &[])
    }

    pub fn post_with(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_post(path, body, headers).unwrap()
    }

    /// `None` where there was no whole answer, as of a server that was killed.
    pub fn try_post(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> Option<Answer> {
        let request = self.agent.post(format!("{}{path}", self.address));
        let mut request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send(body).ok().and_then(Answer::whole)
    }

    /// An open auction, with an opening bid of 1.00.
    pub fn open(&self, auction: &str) -> Answer {
        let open = serde_json::json!({"item": "Leica M3", "opening_bid_cents": 100});
        self.post(&format!("/auction/{auction}/open"), &open).is(200)
    }

    pub fn bid(&self, auction: &str, bidder: &str, max_cents: u64) -> Answer {
        let bid = serde_json::json!({"bidder": bidder, "max_cents": max_cents});
        self.post(&format!("/auction/{auction}/place-bid"), &bid)
    }

    /// Sends a signal by its name, and gives the exit code.
    #[track_caller]
    pub fn end(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.process.wait().unwrap().code()
    }

    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let script = format!("kill -{signal} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
        if thread::panicking() {
            eprintln!("the server said: {}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl Answer {
    fn of(response: ureq::http::Response<ureq::Body>) -> Self {
        Self::whole(response).unwrap()
    }

    fn whole(mut response: ureq::http::Response<ureq::Body>) -> Option<Self> {
        let body = response.body_mut().read_to_string().ok()?;
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        Some(Self {
            status: response.status().as_u16(),
            etag: header("etag"),
            token: header("kronika-position"),
            replayed: header("idempotent-replayed").is_some(),
            body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        })
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// A refusal of this status and kind.
    #[track_caller]
    pub fn problem(self, status: u16, kind: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.body["type"], format!("/problems/{kind}"), "{answer:?}");
        assert_eq!(answer.body["status"], status, "{answer:?}");
        answer
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }
}

/// A data directory that is still to be made, with room beside it.
pub fn place() -> (TempDir, PathBuf) {
    let room = tempfile::tempdir().unwrap();
    let data = room.path().join("data");
    (room, data)
}
