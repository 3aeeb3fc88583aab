//! How bodies become bytes, and what can be wrong with bytes.
//!
//! Bodies are JSON: self-describing, liftable by upcasters, readable by any tool. An event's body holds
//! its fields without the name of its variant, which stands beside it. No other codec is offered yet;
//! every event carries a codec number so that one can be.

use crate::event::EventKind;
use serde::{
    Deserialize, Serialize,
    de::{self, DeserializeOwned, Deserializer as _, IntoDeserializer},
    ser::{self, Impossible, Serializer},
};
use std::error::Error;

/// What is wrong with encoded bytes. Told apart, because a router answers them apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A newer build may have written it: not the same as damaged.
    #[error(
        "event {name} of schema {schema} is not known to this build: run the build that recorded it, or a newer one"
    )]
    UnknownEvent {
        /// The event's stable name.
        name: String,
        /// The event's schema number.
        schema: u32,
    },
    /// A newer build has written an event that this one knows in older shapes only.
    #[error(
        "event {name} of schema {schema} is too new for this build, which knows it up to schema {known}: \
         run the build that recorded it, or a newer one"
    )]
    TooNew {
        /// The event's stable name.
        name: String,
        /// The schema number that was recorded.
        schema: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// An older build has written it, and nothing was declared that lifts it.
    #[error(
        "event {name} of schema {schema} is older than what this build reads, schema {known}, and has no upcaster: \
         declare one with `#[event(upcast({schema} => …))]`"
    )]
    NoUpcast {
        /// The event's stable name.
        name: String,
        /// The schema number that was recorded.
        schema: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// An upcaster has refused the body.
    #[error(
        "event {name} of schema {schema} cannot be lifted from {} of schema {} to {} of schema {}: {source}",
        step.name, step.schema, to.name, to.schema
    )]
    Upcast {
        /// The event's stable name, as recorded.
        name: String,
        /// The schema number that was recorded.
        schema: u32,
        /// Where the step that failed begins.
        step: EventKind,
        /// Where it leads.
        to: EventKind,
        /// What the upcaster said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Not readable at all.
    #[error("not readable as JSON")]
    Syntax(#[source] Box<dyn Error + Send + Sync>),
    /// Readable, but not of the expected shape or range.
    #[error("the value at {} does not fit: {source}", if pointer.is_empty() { "the root" } else { pointer })]
    Shape {
        /// JSON pointer (RFC 6901) to the value that does not fit; empty for the root.
        pointer: String,
        /// What was expected there.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The value cannot be written, say a map with keys that are no text.
    #[error("the value cannot be encoded")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
}

impl CodecError {
    /// Whether a newer build may have written it: then nothing is damaged, and a newer build reads it.
    pub fn is_too_new(&self) -> bool {
        matches!(self, Self::UnknownEvent { .. } | Self::TooNew { .. })
    }

    /// The root does not fit.
    pub fn shape(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Shape { pointer: String::new(), source: source.into() }
    }

    fn from_json(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let pointer = json_pointer(error.path());
        let source = error.into_inner();
        if source.is_data() {
            Self::Shape { pointer, source: Box::new(source) }
        } else {
            Self::Syntax(Box::new(source))
        }
    }
}

fn json_pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        let part = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&part);
    }
    pointer
}

/// Writes a value as JSON behind what is already in `into`.
pub fn encode_json(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
    serde_json::to_writer(into, value).map_err(|error| CodecError::Encode(Box::new(error)))
}

/// Reads a JSON value that fills all of `body`. The error names the place of what does not fit.
///
/// The fast path reads without keeping track of the place; only a failure is read again with it.
pub fn decode_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    serde_json::from_slice(body).or_else(|_| decode_json_with_path(body))
}

fn decode_json_with_path<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value =
        serde_path_to_error::deserialize(&mut deserializer).map_err(CodecError::from_json)?;
    deserializer.end().map_err(|error| CodecError::Syntax(Box::new(error)))?;
    Ok(value)
}

/// Writes the fields of an enum's variant as JSON, without the variant's name. Used by `derive(Event)`.
#[doc(hidden)]
pub fn encode_variant(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), CodecError> {
    value.serialize(VariantBody(into)).map_err(|error| CodecError::Encode(Box::new(error)))
}

/// Reads the fields of the enum's variant number `index`, as [`encode_variant`] wrote them.
#[doc(hidden)]
pub fn decode_variant<T: DeserializeOwned>(index: u32, body: &[u8]) -> Result<T, CodecError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let fast = T::deserialize(VariantOf { index, json: &mut json }).and_then(|value| {
        json.end()?;
        Ok(value)
    });
    fast.or_else(|_| {
        let mut json = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(VariantOf { index, json: &mut json })
            .map_err(without_variant)?;
        json.end().map_err(|error| CodecError::Syntax(Box::new(error)))?;
        Ok(value)
    })
}

fn without_variant(error: serde_path_to_error::Error<serde_json::Error>) -> CodecError {
    CodecError::from_json(error)
}

/// Serializes only enum variants, and of these only the inside.
struct VariantBody<'a>(&'a mut Vec<u8>);

fn not_a_variant<T>() -> Result<T, serde_json::Error> {
    Err(ser::Error::custom("an event is an enum, each event one of its variants"))
}

macro_rules! refuse {
    ($($name:ident($kind:ty)),*) => {
        $(fn $name(self, _: $kind) -> Result<(), serde_json::Error> { not_a_variant() })*
    };
}

/// Writes `{"field":…}` for a variant with named fields, `[…]` for one with several unnamed ones.
struct Fields<'a> {
    into: &'a mut Vec<u8>,
    first: bool,
    close: u8,
}

impl<'a> Fields<'a> {
    fn open(into: &'a mut Vec<u8>, open: u8, close: u8) -> Self {
        into.push(open);
        Self { into, first: true, close }
    }
    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.into.push(b',');
        }
    }
    fn close(self) -> Result<(), serde_json::Error> {
        self.into.push(self.close);
        Ok(())
    }
}

impl ser::SerializeStructVariant for Fields<'_> {
    type Ok = ();
    type Error = serde_json::Error;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.separate();
        serde_json::to_writer(&mut *self.into, key)?;
        self.into.push(b':');
        serde_json::to_writer(&mut *self.into, value)
    }
    fn end(self) -> Result<(), serde_json::Error> {
        self.close()
    }
}

impl ser::SerializeTupleVariant for Fields<'_> {
    type Ok = ();
    type Error = serde_json::Error;
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.separate();
        serde_json::to_writer(&mut *self.into, value)
    }
    fn end(self) -> Result<(), serde_json::Error> {
        self.close()
    }
}

impl<'a> Serializer for VariantBody<'a> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Impossible<(), serde_json::Error>;
    type SerializeTuple = Impossible<(), serde_json::Error>;
    type SerializeTupleStruct = Impossible<(), serde_json::Error>;
    type SerializeTupleVariant = Fields<'a>;
    type SerializeMap = Impossible<(), serde_json::Error>;
    type SerializeStruct = Impossible<(), serde_json::Error>;
    type SerializeStructVariant = Fields<'a>;

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), serde_json::Error> {
        self.0.extend_from_slice(b"{}");
        Ok(())
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        serde_json::to_writer(self.0, value)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, serde_json::Error> {
        Ok(Fields::open(self.0, b'[', b']'))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, serde_json::Error> {
        Ok(Fields::open(self.0, b'{', b'}'))
    }

    refuse! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32),
        serialize_i64(i64), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32),
        serialize_u64(u64), serialize_f32(f32), serialize_f64(f64), serialize_char(char),
        serialize_str(&str), serialize_bytes(&[u8]), serialize_unit_struct(&'static str)
    }
    fn serialize_none(self) -> Result<(), serde_json::Error> {
        not_a_variant()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), serde_json::Error> {
        not_a_variant()
    }
    fn serialize_unit(self) -> Result<(), serde_json::Error> {
        not_a_variant()
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), serde_json::Error> {
        not_a_variant()
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, serde_json::Error> {
        not_a_variant()
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, serde_json::Error> {
        not_a_variant()
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, serde_json::Error> {
        not_a_variant()
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, serde_json::Error> {
        not_a_variant()
    }
    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, serde_json::Error> {
        not_a_variant()
    }
}

/// Gives serde the variant by its number and the body as its inside.
struct VariantOf<'a, R> {
    index: u32,
    json: &'a mut serde_json::Deserializer<R>,
}

impl<'de, R: serde_json::de::Read<'de>> de::Deserializer<'de> for VariantOf<'_, R> {
    type Error = serde_json::Error;
    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, R: serde_json::de::Read<'de>> de::EnumAccess<'de> for VariantOf<'_, R> {
    type Error = serde_json::Error;
    type Variant = Self;
    fn variant_seed<S: de::DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), Self::Error> {
        let index: de::value::U32Deserializer<Self::Error> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de, R: serde_json::de::Read<'de>> de::VariantAccess<'de> for VariantOf<'_, R> {
    type Error = serde_json::Error;
    fn unit_variant(self) -> Result<(), Self::Error> {
        de::IgnoredAny::deserialize(self.json).map(|_| ())
    }
    fn newtype_variant_seed<S: de::DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, Self::Error> {
        seed.deserialize(self.json)
    }
    fn tuple_variant<V: de::Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.json.deserialize_tuple(length, visitor)
    }
    fn struct_variant<V: de::Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.json.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    enum Shapes {
        Unit,
        One(u32),
        Two(u32, String),
        Fields {
            #[serde(rename = "o")]
            owner: String,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
        },
    }

    fn check(index: u32, value: Shapes, body: &str) {
        let mut bytes = Vec::new();
        encode_variant(&value, &mut bytes).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), body);
        assert_eq!(decode_variant::<Shapes>(index, body.as_bytes()).unwrap(), value);
    }

    #[test]
    fn bodies_hold_the_fields_without_the_variant() {
        check(0, Shapes::Unit, "{}");
        check(1, Shapes::One(7), "7");
        check(2, Shapes::Two(7, "x".into()), r#"[7,"x"]"#);
        check(3, Shapes::Fields { owner: "ann".into(), note: None }, r#"{"o":"ann"}"#);
        let note = Some("n".into());
        check(3, Shapes::Fields { owner: "ann".into(), note }, r#"{"o":"ann","note":"n"}"#);
    }

    #[test]
    fn errors_name_the_place_and_tell_syntax_from_shape() {
        #[derive(Deserialize, Debug)]
        struct Bid {
            #[allow(dead_code, reason = "only its place matters")]
            lines: Vec<Line>,
        }
        #[derive(Deserialize, Debug)]
        struct Line {
            #[allow(dead_code, reason = "only its place matters")]
            cents: u32,
        }
        let error = |body: &[u8]| decode_json::<Bid>(body).unwrap_err();
        let shape = error(br#"{"lines":[{"cents":1},{"cents":-1}]}"#);
        assert!(matches!(&shape, CodecError::Shape { pointer, .. } if pointer == "/lines/1/cents"));
        assert!(matches!(error(b"{\"lines\":"), CodecError::Syntax(_)));
        assert!(matches!(error(b"{\"lines\":[]} x"), CodecError::Syntax(_)));
        let event = decode_variant::<Shapes>(3, br#"{"o":5}"#).unwrap_err();
        assert!(
            matches!(&event, CodecError::Shape { pointer, .. } if pointer.ends_with("/o")),
            "{event:?}"
        );
    }

    #[test]
    fn floats_come_back_to_the_last_bit() {
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let mut json = Vec::new();
                encode_json(&float, &mut json).unwrap();
                assert_eq!(decode_json::<f64>(&json).unwrap().to_bits(), float.to_bits());
            }
        }
    }

    #[test]
    fn depth_is_bounded_before_the_stack_is() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert!(matches!(decode_json::<serde_json::Value>(&deep), Err(CodecError::Syntax(_))));
    }
}
