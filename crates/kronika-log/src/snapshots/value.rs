//! One stored snapshot, byte by byte, as `docs/formats/snapshots.md` draws it. Nothing is believed without its
//! check, which binds the bytes to the stream that they were stored for.

use bytes::Bytes;
use kronika_core::{Codec, Incarnation, Mark, PartitionId, Position, Snapshot, StreamId, Version};
use xxhash_rust::xxh3::Xxh3Default;

/// Number of the format. A value of another one is as good as absent: the events are all there.
const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 56;
const CHECK_AT: usize = 48;

pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let Snapshot { stream, incarnation, version, mark, schema, keyed, codec, state } = snapshot;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + state.len());
    let codec = match codec {
        Codec::Json => 0,
        _ => u8::MAX,
    };
    bytes.extend([FORMAT, codec, u8::from(*keyed), 0]);
    bytes.extend(schema.to_le_bytes());
    bytes.extend(incarnation.get().to_le_bytes());
    bytes.extend(version.get().to_le_bytes());
    bytes.extend(mark.position.get().to_le_bytes());
    bytes.extend(mark.check.to_le_bytes());
    bytes.extend(mark.partition.get().to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(check(stream, &bytes, state).to_le_bytes());
    bytes.extend_from_slice(state);
    bytes
}

/// What was stored for the stream; or what is wrong with it.
pub(super) fn decode(stream: &StreamId, bytes: &[u8]) -> Result<Snapshot, String> {
    let Some((header, state)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(format!("{} bytes, at least {HEADER_BYTES} are needed", bytes.len()));
    };
    if header[0] != FORMAT {
        return Err(format!("format {}, this build knows {FORMAT}", header[0]));
    }
    if check(stream, &header[..CHECK_AT], state) != u64::from_le_bytes(array(header, CHECK_AT)) {
        return Err("the check of its bytes does not fit".to_owned());
    }
    let codec = match header[1] {
        0 => Codec::Json,
        other => return Err(format!("codec {other} is not known to this build")),
    };
    let mark = Mark {
        partition: PartitionId::new(u16::from_le_bytes(array(header, 44))),
        position: Position::new(u64::from_le_bytes(array(header, 32))),
        check: u32::from_le_bytes(array(header, 40)),
    };
    Ok(Snapshot {
        stream: stream.clone(),
        incarnation: Incarnation::new(u128::from_le_bytes(array(header, 8))),
        version: Version::new(u64::from_le_bytes(array(header, 24))),
        mark,
        schema: u32::from_le_bytes(array(header, 4)),
        keyed: header[2] != 0,
        codec,
        state: Bytes::copy_from_slice(state),
    })
}

fn check(stream: &StreamId, header: &[u8], state: &[u8]) -> u64 {
    let mut check = Xxh3Default::new();
    check.update(header);
    check.update(&(stream.name().len() as u64).to_le_bytes());
    check.update(stream.name().as_bytes());
    check.update(state);
    check.digest()
}

fn array<const BYTES: usize>(header: &[u8], at: usize) -> [u8; BYTES] {
    let part = header[at..].first_chunk();
    *part.expect("the fields of a header lie within it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            stream: StreamId::new("account", "a").unwrap(),
            incarnation: Incarnation::new(7),
            version: Version::new(256),
            mark: Mark {
                partition: PartitionId::new(0),
                position: Position::new(1000),
                check: 0x1234_5678,
            },
            schema: 3,
            keyed: true,
            codec: Codec::Json,
            state: Bytes::from_static(br#"{"cents":5}"#),
        }
    }

    #[test]
    fn the_bytes_are_frozen() {
        let expected = "01000100030000000700000000000000000000000000000000010000000000\
                        00e8030000000000007856341200000000";
        let bytes = encode(&snapshot());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&bytes[..CHECK_AT]), expected);
        assert_eq!(hex(&bytes[CHECK_AT..HEADER_BYTES]), "6476ca6f0ac50a00");
        assert_eq!(&bytes[HEADER_BYTES..], br#"{"cents":5}"#);
    }

    #[test]
    fn what_was_stored_comes_back_and_no_flip_of_a_bit_or_cut_passes() {
        let (stored, stream) = (encode(&snapshot()), snapshot().stream);
        assert_eq!(decode(&stream, &stored), Ok(snapshot()));
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&stream, &flipped).is_err(), "bit {bit}");
        }
        (0..stored.len()).for_each(|cut| assert!(decode(&stream, &stored[..cut]).is_err()));
        let other = StreamId::new("account", "b").unwrap();
        assert!(decode(&other, &stored).is_err(), "what another stream has");
    }
}
