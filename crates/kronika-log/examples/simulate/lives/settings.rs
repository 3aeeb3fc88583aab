//! Small random settings, and a clock that jumps.

use super::sending::Habits;
use kronika_core::Timestamp;
use kronika_log::Settings;
use std::cell::Cell;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

/// The wall clock of the life on this thread.
pub fn clock() -> Timestamp {
    NOW.set(NOW.get() + 1);
    Timestamp::new(NOW.get())
}

/// Begins a life.
pub fn set_clock(random: &mut fastrand::Rng) {
    NOW.set(random.i64(0..1 << 50));
}

/// Time passes, or the clock is turned back.
pub fn move_clock(random: &mut fastrand::Rng) {
    let by = match random.u8(..50) {
        0 => random.i64(-3_600_000_000..3_600_000_000),
        _ => random.i64(0..50_000),
    };
    NOW.set(NOW.get() + by);
}

pub fn settings(random: &mut fastrand::Rng) -> Settings {
    let kib =
        |choices: &[u64], random: &mut fastrand::Rng| choices[random.usize(..choices.len())] << 10;
    Settings {
        segment_bytes: kib(&[8, 8, 8, 12, 16, 16, 32, 64], random),
        first_segment_bytes: kib(&[8, 8, 12, 16], random),
        commit_bytes: kib(&[1, 2, 4, 16], random) as usize,
        queue_bytes: kib(&[2, 8, 64, 64, 64, 1024], random) as usize,
        recent_bytes: kib(&[0, 1, 4, 64], random) as usize,
        index_bytes: kib(&[0, 1, 1024], random),
        streams_remembered_max: [0, 64, 4096][random.usize(..3)],
        reader_threads: random.usize(1..3),
        clock,
        ..Settings::default()
    }
}

pub fn habits(random: &mut fastrand::Rng) -> Habits {
    Habits {
        body_bytes: [40, 200, 200, 800][random.usize(..4)],
        group: [1, 3, 6, 12][random.usize(..4)],
        sparse: random.u8(..50) == 0,
        large_bytes: [0, 6 << 10, 20 << 10][random.usize(..3)],
    }
}
