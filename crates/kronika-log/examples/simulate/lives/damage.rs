//! Damage to what was synced: afterwards everything reads right, or a typed error names segment and offset. Nothing
//! that was acknowledged is cut off without a word, and a refused opening changes nothing of the log.

use super::{PATH, life::Life, look::Allowed, model::Checked, reading::everything};
use kronika_log::{Corruption, Log, OpenError, SimulatedDisk};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const SECTOR_BYTES: u64 = 512;
const TRIES: usize = 6;

/// The log of a life that is open and quiet; each try damages a copy of its disk.
pub fn afterwards(life: &mut Life) -> Checked {
    life.quiesce()?;
    // What is durable only, with whatever is published of the head there: flips are found wherever they are.
    let durable = life.disk.durable_copy(life.random.u64(..));
    life.kill();
    for try_number in 0..TRIES {
        let seed = life.random.u64(..);
        let flips_only = try_number % 2 == 1;
        let disk = if flips_only { durable.copy(seed) } else { life.disk.copy(seed) };
        strike(life, &disk, flips_only).map_err(|wrong| format!("damage: {wrong}"))?;
    }
    Ok(())
}

fn strike(life: &mut Life, disk: &SimulatedDisk, flips_only: bool) -> Checked {
    let files = disk.files();
    let path = files[life.random.usize(..files.len())].clone();
    let bytes = disk.contents(&path).len() as u64;
    if bytes == 0 {
        return Ok(());
    }
    let corruption = random_corruption(life, bytes, flips_only);
    let before = life.random.bool();
    let mut changed = before && disk.corrupt(&path, corruption);
    let found = contents(disk);
    let opened = open(life, disk);
    let told = || format!("{corruption:?} of {}", path.display());
    let (log, _stepper) = match opened {
        Ok(opened) => opened,
        Err(OpenError::Damaged(damage)) if changed => {
            life.tally.damage_found += 1;
            if damage.segment == 0 || damage.offset > 1 << 30 {
                return Err(format!("{}: no place in {damage}", told()));
            }
            if contents(disk) != found {
                return Err(format!("{}: the disk was changed, and then {damage}", told()));
            }
            return Ok(());
        }
        Err(error) => return Err(format!("{}: opening: {error}", told())),
    };
    // A run that was merged is removed at the opening.
    if !before && disk.files().contains(&path) {
        changed = disk.corrupt(&path, corruption);
    }
    life.tally.damage_lived_with += u64::from(changed);
    let allowed = if changed { Allowed::Damaged } else { Allowed::Nothing };
    everything(life, &log, allowed).map_err(|wrong| format!("{}: {wrong}", told()))
}

fn open(life: &mut Life, disk: &SimulatedDisk) -> Result<(Log, kronika_log::Stepper), OpenError> {
    let mut settings = life.witness.borrow().settings.clone();
    settings.seed = Some(life.random.u64(..));
    Log::open_stepped(Arc::new(disk.clone()), Path::new(PATH), settings)
}

fn random_corruption(life: &mut Life, bytes: u64, flips_only: bool) -> Corruption {
    let random = &mut life.random;
    let sectors = bytes.div_ceil(SECTOR_BYTES);
    let (sector, to) = (random.u64(..sectors), random.u64(..sectors));
    match random.u8(..4) {
        1 if !flips_only => Corruption::Zeroed { sector },
        2 if !flips_only => Corruption::Stale { sector },
        3 if !flips_only => Corruption::Misdirected { from: sector, to },
        _ => Corruption::BitFlip { offset: random.u64(..bytes), bit: random.u8(..8) },
    }
}

/// What is the log itself; what is derived from sound segments may be made anew before the damage is found.
fn contents(disk: &SimulatedDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let derived = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("footer" | "run" | "making"))
    };
    let files = disk.files().into_iter().filter(|path| !derived(path));
    files.map(|path| (path.clone(), disk.contents(&path))).collect()
}
