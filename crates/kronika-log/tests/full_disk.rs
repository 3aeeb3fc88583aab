//! A disk that fills up at any point, also while segments are sealed: appends are refused and nothing else, reads go on,
//! and once there is room everything comes back by itself.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/journals.rs"]
mod journals;

use common::*;
use journals::now;
use kronika_core::{AppendError, Journal, Loading};
use kronika_log::{
    FindingKind, JournalFiles, Log, OpenError, Settings, SimulatedDisk, Step, Stepper, verify,
};
use std::{path::Path, sync::Arc};

const PATH: &str = "/data/journal";

fn open(disk: &SimulatedDisk) -> Result<(Log, Stepper), OpenError> {
    let settings = Settings {
        segment_bytes: 16 << 10,
        first_segment_bytes: 8 << 10,
        recent_bytes: 0,
        streams_remembered_max: 0,
        ..Settings::small()
    };
    Log::open_stepped(Arc::new(disk.clone()), Path::new(PATH), settings)
}

/// What can be done is done; what fails for want of room is tried a few times.
fn work(stepper: &mut Stepper) {
    for _ in 0..16 {
        while [Step::Commit, Step::Take, Step::Write, Step::Seal].iter().any(|s| stepper.step(*s)) {
        }
        if !stepper.step(Step::Prepare) {
            return;
        }
    }
}

struct Caller {
    version: u64,
    loading: u64,
}

impl Caller {
    fn send(&mut self, log: &Log, stepper: &mut Stepper) -> Result<(), AppendError> {
        let mut append = append("a", self.version, 1);
        append.events[0].body = "x".repeat(500).into();
        append.loading = Loading::new(self.loading);
        let mut answer = Box::pin(log.append(vec![append]));
        work(stepper);
        let result = now(answer.as_mut()).expect("nobody is left waiting").pop().unwrap();
        match result {
            Ok(committed) => self.version = committed.version.get(),
            // What was refused broke its chain.
            Err(_) => self.loading += 1,
        }
        result.map(drop)
    }
}

#[test]
fn wherever_the_disk_fills_up_all_comes_back_with_room() {
    let (mut never_opened, mut unsealed) = (0, 0);
    for limit in (1..260).map(|half_kib| half_kib << 9) {
        let disk = SimulatedDisk::new(limit as u64);
        disk.limit(Some(limit));
        let (log, mut stepper) = match open(&disk) {
            Ok(opened) => opened,
            Err(OpenError::Full { .. }) => {
                disk.limit(None);
                open(&disk).unwrap();
                never_opened += 1;
                continue;
            }
            Err(error) => panic!("{limit}: {error}"),
        };
        let mut caller = Caller { version: 0, loading: 1 };
        let full = (0..300).find_map(|_| caller.send(&log, &mut stepper).err());
        assert!(matches!(full, Some(AppendError::Unavailable(_))), "{limit}: {full:?}");
        unsealed += u32::from(log.stats().sealing_failure.is_some());
        for _ in 0..5 {
            let refused = caller.send(&log, &mut stepper);
            assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{limit}: {refused:?}");
            assert_eq!(all_events(&log).len() as u64, caller.version, "reads go on");
        }
        disk.limit(None);
        let room = (0..3).find(|_| caller.send(&log, &mut stepper).is_ok());
        assert!(room.is_some(), "{limit}: appends come back");
        for _ in 0..40 {
            caller.send(&log, &mut stepper).unwrap();
        }
        assert_eq!(log.stats().sealing_failure, None, "{limit}: sealing comes back");
        assert!(log.stats().sealed_segments > 0, "{limit}");
        stepper.finish();
        drop(log);
        let (log, _stepper) = open(&disk).unwrap();
        assert_eq!(all_events(&log).len() as u64, caller.version);
        let files = JournalFiles::on(Arc::new(disk.clone()), Path::new(PATH));
        let report = verify(&files, &mut |_| {}).unwrap();
        let damage = report.findings.iter().find(|found| found.kind == FindingKind::Damage);
        assert_eq!(damage, None);
    }
    // Each of them happened.
    assert!(never_opened > 10 && unsealed > 10, "{never_opened} {unsealed}");
}
