//! Waiting for a file of another process to change, without asking again and again (inotify).

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    fs::inotify,
    io::Errno,
};
use std::{io, os::fd::OwnedFd, path::Path, sync::Arc};

/// It looks anyway after so long: some file systems tell nothing.
const AT_LEAST: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Waits for changes of a file.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: OwnedFd,
    stop: Arc<OwnedFd>,
}

/// Ends the waiting.
#[derive(Debug, Clone)]
pub(crate) struct StopWatch(Arc<OwnedFd>);

impl Watch {
    /// Watches a file.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let changes =
            inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&changes, path, inotify::WatchFlags::MODIFY)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { changes, stop: Arc::new(stop) })
    }

    /// What ends the waiting.
    pub(crate) fn stop(&self) -> StopWatch {
        StopWatch(Arc::clone(&self.stop))
    }

    /// Waits until the file may have changed; false if the waiting was ended.
    pub(crate) fn wait(&self) -> io::Result<bool> {
        let mut waiting =
            [PollFd::new(&self.changes, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN)];
        match poll(&mut waiting, Some(&AT_LEAST)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if waiting[1].revents().contains(PollFlags::IN) {
            return Ok(false);
        }
        // What is said does not matter, only that something was.
        let mut said = [0; 4096];
        while matches!(rustix::io::read(&self.changes, &mut said), Ok(1..)) {}
        Ok(true)
    }
}

impl StopWatch {
    pub(crate) fn stop(&self) {
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}
