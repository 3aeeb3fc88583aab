//! Images of a small log, enumerated: every cut, every torn subset of sectors, every single flip, two crashes in a
//! row. What was acknowledged is either all there or refused as damaged; a torn tail always heals.

use crate::{
    OpenError, SimulatedDisk,
    format::{FIRST_COMMIT, HEAD_BYTES},
    log::Log,
    recover::{Recovered, Recovery, recover},
    settings::Settings,
};
use kronika_core::{
    Append, AppendId, Epoch, Journal, Loading, NewEvent, StreamId, Timestamp, Version,
};
use std::{path::Path, sync::Arc};

const DIRECTORY: &str = "/data/journal";
const SEGMENT: &str = "/data/journal/00000001.segment";
const HEAD: &str = "/data/journal/head";
const SEGMENT_BYTES: u64 = 16 << 10;

/// A log of one segment, and where its commits begin and end.
struct Image {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    disk: SimulatedDisk,
}

fn one(version: u64, body_bytes: usize) -> Append {
    let body = format!("{{\"text\":\"{}\"}}", "kronika ".repeat(body_bytes / 8));
    let event =
        NewEvent { name: "said".into(), schema: 1, body: body.into(), ..NewEvent::default() };
    Append {
        id: AppendId::from_parts(Timestamp::new(1_700_000_000_000_000), version + 1),
        stream: StreamId::new("talk", "a").unwrap(),
        expected: Version::new(version),
        epoch: Epoch::default(),
        loading: Loading::new(1),
        events: vec![event],
        command: "say".into(),
        more: None,
    }
}

/// Commits of one append each, with bodies of these lengths.
fn image(bodies: &[usize]) -> Image {
    let disk = SimulatedDisk::new(1);
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        first_segment_bytes: SEGMENT_BYTES,
        clock: || Timestamp::new(1_700_000_000_000_000),
        seed: Some(7),
        ..Settings::default()
    };
    let log = Log::open_on(Arc::new(disk.clone()), Path::new(DIRECTORY), settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut ends = vec![FIRST_COMMIT as usize];
    for (version, body) in bodies.iter().enumerate() {
        runtime.block_on(log.append(vec![one(version as u64, *body)]))[0].as_ref().unwrap();
        let bytes = disk.contents(Path::new(SEGMENT));
        ends.push(bytes.iter().rposition(|byte| *byte != 0).unwrap() / 64 * 64 + 64);
    }
    drop(log);
    let bytes = disk.contents(Path::new(SEGMENT));
    Image { bytes, ends, disk }
}

fn recovery() -> Recovery {
    Recovery {
        recent_bytes: 0,
        heads_max: 64,
        index_bytes: 1 << 20,
        #[cfg(feature = "planted-faults")]
        planted: None,
    }
}

fn open(disk: &SimulatedDisk) -> Result<Recovered, OpenError> {
    let recovered = recover(disk, Path::new(DIRECTORY), recovery());
    recovered.map(|recovered| recovered.expect("there is a segment"))
}

impl Image {
    /// What opening finds: the number of commits, or that it is damaged.
    fn judged(&self, bytes: &[u8]) -> Result<u64, OpenError> {
        self.disk.replace(Path::new(SEGMENT), bytes);
        open(&self.disk).map(|recovered| recovered.state.number)
    }
    /// Forgets the published head, as a power cut may.
    fn forget_head(&self) {
        self.disk.replace(Path::new(HEAD), &[0; HEAD_BYTES]);
    }
    fn commits(&self) -> u64 {
        self.ends.len() as u64 - 1
    }
    fn last(&self) -> std::ops::Range<usize> {
        self.ends[self.ends.len() - 2]..self.ends[self.ends.len() - 1]
    }
}

fn is_damage(judged: &Result<u64, OpenError>) -> bool {
    matches!(
        judged,
        Err(OpenError::Damaged(_) | OpenError::Unknown { .. } | OpenError::Newer { .. })
    )
}

#[test]
fn every_cut_of_the_tail_is_torn_or_damage_and_at_a_sector_it_heals() {
    for bodies in [[24, 800].as_slice(), &[400, 3000], &[24, 24, 24]] {
        let image = image(bodies);
        image.forget_head();
        let last = image.last();
        for cut in last.start..last.end {
            let mut bytes = image.bytes.clone();
            bytes[cut..].fill(0);
            let judged = image.judged(&bytes);
            if cut % 512 == 0 || cut == last.start {
                assert_eq!(judged.unwrap(), image.commits() - 1, "cut at {cut}");
                let healed = image.disk.contents(Path::new(SEGMENT));
                assert!(healed[last.start..].iter().all(|byte| *byte == 0), "healed at {cut}");
            } else {
                let torn = judged.as_ref().is_ok_and(|number| *number == image.commits() - 1);
                assert!(torn || is_damage(&judged), "cut at {cut}: {judged:?}");
            }
        }
    }
}

#[test]
fn a_file_that_ends_too_early_is_damage() {
    let image = image(&[24, 24]);
    for end in (0..SEGMENT_BYTES as usize).step_by(61) {
        assert!(is_damage(&image.judged(&image.bytes[..end])), "ends at {end}");
    }
}

#[test]
fn every_torn_subset_of_sectors_heals_also_after_a_second_crash() {
    // The commits begin at different places in their sectors and cover two to nine of them.
    for bodies in [[24, 200].as_slice(), &[24, 24, 900], &[600, 3600], &[24, 24, 24, 24, 2000]] {
        let image = image(bodies);
        image.forget_head();
        let last = image.last();
        let first_sector = last.start / 512;
        let sectors = last.end.div_ceil(512) - first_sector;
        assert!((2..=10).contains(&sectors), "{sectors}");
        let lose = |bytes: &mut [u8], lost: u32| {
            for sector in (0..sectors).filter(|sector| lost & 1 << sector != 0) {
                let start = (first_sector + sector) * 512;
                bytes[start.max(last.start)..(start + 512).min(last.end)].fill(0);
            }
        };
        for lost in 0..1u32 << sectors {
            let mut bytes = image.bytes.clone();
            lose(&mut bytes, lost);
            let expected = image.commits() - u64::from(lost != 0);
            assert_eq!(image.judged(&bytes).unwrap(), expected, "{lost:b} lost");
            if sectors > 5 {
                continue;
            }
            // Healing writes zeros, of which a second crash leaves any subset too.
            for more in 0..1u32 << sectors {
                let mut bytes = bytes.clone();
                if lost != 0 {
                    lose(&mut bytes, more);
                }
                assert_eq!(image.judged(&bytes).unwrap(), expected, "{lost:b}, {more:b} lost");
            }
        }
    }
}

#[test]
fn no_flip_of_acknowledged_data_passes() {
    for keeps_head in [true, false] {
        let image = image(&[24, 300, 1200, 24]);
        if !keeps_head {
            image.forget_head();
        }
        let used = *image.ends.last().unwrap();
        let header = 0..512;
        for at in header.chain(FIRST_COMMIT as usize..used) {
            for bit in 0..8 {
                let mut bytes = image.bytes.clone();
                bytes[at] ^= 1 << bit;
                let judged = image.judged(&bytes);
                assert!(is_damage(&judged), "bit {bit} of byte {at}: {judged:?}");
                let after = image.disk.contents(Path::new(SEGMENT));
                assert!(after == bytes, "damage is not touched");
            }
        }
    }
}

#[test]
fn a_flip_in_free_space_harms_nothing() {
    let image = image(&[24, 300]);
    for at in (512..FIRST_COMMIT as usize).chain(*image.ends.last().unwrap()..image.bytes.len()) {
        let mut bytes = image.bytes.clone();
        bytes[at] ^= 4;
        let judged = image.judged(&bytes);
        let whole = judged.as_ref().is_ok_and(|number| *number == image.commits());
        assert!(whole || is_damage(&judged), "byte {at}: {judged:?}");
    }
}

#[test]
fn a_lost_sector_of_an_acknowledged_commit_is_damage() {
    let image = image(&[700, 700, 700]);
    let last = image.last();
    for sector in FIRST_COMMIT as usize / 512..last.end.div_ceil(512) {
        let mut bytes = image.bytes.clone();
        bytes[sector * 512..sector * 512 + 512].fill(0);
        assert!(is_damage(&image.judged(&bytes)), "sector {sector}");
    }
}

#[test]
fn a_log_that_ends_before_its_published_head_is_damage() {
    let image = image(&[24, 24]);
    let mut bytes = image.bytes.clone();
    bytes[image.last().start..].fill(0);
    assert!(is_damage(&image.judged(&bytes)));
    for file in image.disk.files().iter().filter(|file| file.as_path() != Path::new(HEAD)) {
        image.disk.lose(file);
    }
    assert!(recover(&image.disk, Path::new(DIRECTORY), recovery()).is_err());
    // A published head that is not whole only makes recovery less strict.
    image.forget_head();
    assert!(recover(&image.disk, Path::new(DIRECTORY), recovery()).unwrap().is_none());
}

#[test]
fn commits_that_changed_places_are_damage() {
    let image = image(&[100, 100, 100]);
    let [first, second, third, end] = image.ends[..] else { panic!("three commits") };
    assert_eq!(third - second, end - third, "two of one length");
    let mut bytes = image.bytes.clone();
    bytes.copy_within(third..end, second);
    assert!(is_damage(&image.judged(&bytes)));
    let mut bytes = image.bytes.clone();
    bytes.copy_within(first..second, first + 64);
    bytes[first..first + 64].fill(0);
    assert!(is_damage(&image.judged(&bytes)));
}

#[test]
fn damage_names_its_streams() {
    let image = image(&[24, 300]);
    let mut bytes = image.bytes.clone();
    bytes[image.last().end - 200] ^= 1;
    let Err(OpenError::Damaged(damage)) = image.judged(&bytes) else { panic!("damage") };
    assert_eq!(damage.streams, [StreamId::new("talk", "a").unwrap()]);
    assert_eq!((damage.segment, damage.offset), (1, image.last().start as u64));
}
