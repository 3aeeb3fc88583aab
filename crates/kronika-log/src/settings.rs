//! What may be set when a log is opened. Nothing here changes the format: any log opens with any settings.

use kronika_core::Timestamp;
use std::time::SystemTime;

/// Largest segment in bytes: places in a segment are kept in 32 bits.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// Smallest segment in bytes: the header's block and one more.
const SEGMENT_BYTES_MIN: u64 = 8192;

/// Settings of a log.
///
/// ```
/// let settings = kronika_log::Settings { segment_bytes: 128 << 20, ..Default::default() };
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of a segment under load, a multiple of 4,096; default 64 MiB.
    pub segment_bytes: u64,
    /// Bytes of a new journal's first segment; default 1 MiB. Following ones grow to `segment_bytes`.
    pub first_segment_bytes: u64,
    /// Bytes of appends after which a commit is closed; default 4 MiB, never more than 16 MiB. One larger
    /// append is a commit of its own.
    pub commit_bytes: usize,
    /// Bytes of appends that may wait; default 64 MiB. What does not fit is refused as unavailable.
    pub queue_bytes: usize,
    /// Bytes of the newest commits that are kept in memory for readers; default 16 MiB.
    pub recent_bytes: usize,
    /// Bytes of the index's filters in memory; default 64 MiB. For what does not fit, files are read instead.
    pub index_bytes: u64,
    /// Streams whose newest version is remembered though they were not written lately; default 131,072, of about
    /// 200 bytes each. Others are looked up.
    pub streams_remembered_max: usize,
    /// Threads that read files; default 2.
    pub reader_threads: usize,
    /// Reads that may wait for those threads; default 1,024.
    pub reads_waiting_max: usize,
    /// The wall clock that commits are stamped with.
    pub clock: fn() -> Timestamp,
    /// Where salts and the incarnation come from: the operating system, or a seed in simulations.
    pub seed: Option<u64>,
    /// A fault planted on purpose.
    #[cfg(feature = "planted-faults")]
    pub planted_fault: Option<PlantedFault>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            first_segment_bytes: 1 << 20,
            commit_bytes: 4 << 20,
            queue_bytes: 64 << 20,
            recent_bytes: 16 << 20,
            index_bytes: 64 << 20,
            streams_remembered_max: 128 << 10,
            reader_threads: 2,
            reads_waiting_max: 1024,
            clock: || Timestamp::from_system(SystemTime::now()),
            seed: None,
            #[cfg(feature = "planted-faults")]
            planted_fault: None,
        }
    }
}

impl Settings {
    /// Settings with small segments, and with so little memory that most is looked up in files, for tests.
    pub fn small() -> Self {
        Self {
            segment_bytes: 64 << 10,
            first_segment_bytes: 16 << 10,
            index_bytes: 4 << 10,
            streams_remembered_max: 64,
            ..Self::default()
        }
    }

    /// Why these settings cannot be used, if so.
    pub(crate) fn refusal(&self) -> Option<String> {
        let segments = [self.segment_bytes, self.first_segment_bytes];
        for bytes in segments {
            if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&bytes) || bytes % 4096 != 0 {
                return Some(format!(
                    "segments of {bytes} bytes: {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} in steps of 4096 are possible"
                ));
            }
        }
        if self.reader_threads == 0 || self.reads_waiting_max == 0 || self.commit_bytes == 0 {
            return Some("a setting of a number of threads, reads or bytes is 0".to_owned());
        }
        None
    }

    #[cfg(feature = "planted-faults")]
    pub(crate) fn plants(&self, fault: PlantedFault) -> bool {
        self.planted_fault == Some(fault)
    }
}

/// A fault that a checker must find: only for tests of the checkers.
#[cfg(feature = "planted-faults")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlantedFault {
    /// Callers are answered before the sync, which comes with the next commit.
    ReplyBeforeSync,
    /// A failed sync is tried again and believed.
    SyncAgain,
    /// The head is published before the sync that makes it true.
    HeadBeforeSync,
    /// An append is let in although an earlier one of its loading failed.
    ChainLeftOut,
    /// An append is let in whatever the epoch of its slice.
    EpochLeftOut,
    /// An append to a stream that is not in memory is let in unseen, instead of looking its version up.
    ColdLookupLeftOut,
    /// A segment is used before its name is durable.
    NameNotSynced,
    /// A segment is used before its zeros and its header are durable.
    ZerosNotSynced,
    /// What a torn write left behind stays where the next commit goes.
    TornLeft,
    /// The last whole commit is cut off with what was torn behind it.
    CutTooFar,
    /// The last commit counts at opening without being written again and synced.
    EndNotSynced,
    /// Opening does not compare where the log ends with what was published as durable.
    HeadNotCompared,
    /// Opening believes the body of a commit whose header is right.
    BodyNotCheckedAtOpening,
    /// Reading by position believes the body of a commit whose header is right.
    BodyNotCheckedInReads,
    /// Reading one append believes its record.
    RecordNotChecked,
    /// Blocks of a footer are believed.
    FooterNotChecked,
    /// Appends are dropped from memory before the run that holds them can be read.
    RetiredEarly,
    /// A follower reads on behind the published head.
    BeyondTheHead,
    /// A restore to the past is told to be the same history.
    SameIncarnation,
    /// Backups copy commits without looking at their checks.
    CopiedUnseen,
    /// Verification does not look at space that was never used.
    SpaceNotSeen,
}

#[cfg(feature = "planted-faults")]
impl PlantedFault {
    /// All of them, as the table in `docs/planted-faults.md` has them.
    pub const ALL: &[Self] = &[
        Self::ReplyBeforeSync,
        Self::SyncAgain,
        Self::HeadBeforeSync,
        Self::ChainLeftOut,
        Self::EpochLeftOut,
        Self::ColdLookupLeftOut,
        Self::NameNotSynced,
        Self::ZerosNotSynced,
        Self::TornLeft,
        Self::CutTooFar,
        Self::EndNotSynced,
        Self::HeadNotCompared,
        Self::BodyNotCheckedAtOpening,
        Self::BodyNotCheckedInReads,
        Self::RecordNotChecked,
        Self::FooterNotChecked,
        Self::RetiredEarly,
        Self::BeyondTheHead,
        Self::SameIncarnation,
        Self::CopiedUnseen,
        Self::SpaceNotSeen,
    ];
}
