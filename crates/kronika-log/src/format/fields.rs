//! Numbered fields: number, length, bytes. Absent ones cost nothing, new ones are added by number.

use super::{Malformed, SKIPPABLE, Taker};

/// Fields of an event.
pub(crate) mod of_event {
    pub(crate) const TAG: u16 = 1;
    pub(crate) const OCCURRED: u16 = 2;
    pub(crate) const ID: u16 = 3;
    pub(crate) const METADATA: u16 = 4;
}

/// Fields of an append.
pub(crate) mod of_append {
    pub(crate) const KEYED: u16 = 1;
    pub(crate) const PRINCIPAL: u16 = 2;
    pub(crate) const TENANT: u16 = 3;
    pub(crate) const CORRELATION: u16 = 4;
    pub(crate) const CAUSATION: u16 = 5;
    pub(crate) const TRACE: u16 = 6;
    pub(crate) const ENCRYPTION_KEY: u16 = 7;
    pub(crate) const COMMAND_BODY: u16 = 8;
    pub(crate) const TIMER: u16 = 9;
}

/// Puts a field behind what is there; its bytes in parts.
pub(crate) fn put_field(out: &mut Vec<u8>, number: u16, parts: &[&[u8]]) {
    out.extend_from_slice(&number.to_le_bytes());
    put_length(out, parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Puts a length of 32 bits.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// The fields in a block, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u16, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut taker = Taker(self.0);
        let field = (|| {
            let number = taker.u16()?;
            let bytes = taker.u32()? as usize;
            Ok((number, taker.bytes(bytes)?))
        })();
        self.0 = if field.is_ok() { taker.0 } else { &[] };
        Some(field)
    }
}

/// What to do about a field that is not known.
pub(crate) fn skip_unknown(of: &str, number: u16) -> Result<(), Malformed> {
    if number >= SKIPPABLE {
        return Ok(());
    }
    Err(Malformed::Unknown(format!("field {number} of {of}")))
}
