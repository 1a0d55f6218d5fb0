//! The codecs a peer knows.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use super::{Codec, NONE, RegisterError};

/// The codecs of a peer, by id and by name.
///
/// The default holds every codec that the features of this crate switch on; [`Codecs::empty`]
/// holds none. A clone is cheap.
#[derive(Clone)]
pub struct Codecs(Arc<Table>);

#[derive(Clone)]
struct Table {
    /// One byte an id, so that the choice costs one load.
    slots: [Slot; 256],
    /// In order of registration.
    codecs: Vec<Arc<dyn Codec>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Free,
    #[cfg(feature = "json")]
    Json(u8),
    #[cfg(feature = "protobuf")]
    Protobuf(u8),
    #[cfg(feature = "plain")]
    Plain(u8),
    #[cfg(feature = "form")]
    Form(u8),
    Own(u8),
}

/// Who is behind an id.
#[derive(Clone, Copy)]
pub(super) enum Choice<'a> {
    /// Nobody.
    Unknown,
    #[cfg(feature = "json")]
    Json,
    #[cfg(feature = "protobuf")]
    Protobuf,
    #[cfg(feature = "plain")]
    Plain,
    #[cfg(feature = "form")]
    Form,
    /// A codec of the user's own.
    Own(&'a dyn Codec),
}

impl Codecs {
    /// A registry without any codec.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::new(Table {
            slots: [Slot::Free; 256],
            codecs: Vec::new(),
        }))
    }

    /// Adds a codec.
    ///
    /// The built-in ones can be added to an empty registry too; under an id of theirs an empty
    /// registry takes any codec.
    ///
    /// # Errors
    ///
    /// The id is 0, or the id or the name is taken; the error names both codecs.
    pub fn register<C: Codec>(&mut self, codec: C) -> Result<(), RegisterError> {
        let (id, name) = (codec.id(), codec.name());
        if id == NONE {
            return Err(RegisterError::new(format!(
                "codec {name:?} has the id 0, which means no codec"
            )));
        }
        if let Some(other) = self.get(id) {
            return Err(RegisterError::new(format!(
                "codec {name:?} has the id {id}, which codec {:?} has already",
                other.name()
            )));
        }
        if let Some(other) = self.by_name(name) {
            return Err(RegisterError::new(format!(
                "codec {name:?} with the id {id} has the name of the codec with the id {}",
                other.id()
            )));
        }
        let table = Arc::make_mut(&mut self.0);
        // 255 ids can be taken, so the last index is 254.
        let index = u8::try_from(table.codecs.len()).unwrap_or(u8::MAX);
        if let Some(slot) = table.slots.get_mut(usize::from(id)) {
            *slot = Slot::of::<C>(index);
            table.codecs.push(Arc::new(codec));
        }
        Ok(())
    }

    /// The codec with the id.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&Arc<dyn Codec>> {
        self.0.codecs.get(self.slot(id).index()?)
    }

    /// The codec with the name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<dyn Codec>> {
        self.0.codecs.iter().find(|codec| codec.name() == name)
    }

    /// The id of the codec with the name.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<u8> {
        self.by_name(name).map(|codec| codec.id())
    }

    /// Whether a codec has the id.
    #[must_use]
    pub fn contains(&self, id: u8) -> bool {
        self.slot(id) != Slot::Free
    }

    /// All codecs, in order of registration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Codec>> {
        self.0.codecs.iter()
    }

    fn slot(&self, id: u8) -> Slot {
        self.0
            .slots
            .get(usize::from(id))
            .copied()
            .unwrap_or(Slot::Free)
    }

    #[inline]
    pub(super) fn choose(&self, id: u8) -> Choice<'_> {
        match self.slot(id) {
            Slot::Free => Choice::Unknown,
            #[cfg(feature = "json")]
            Slot::Json(_) => Choice::Json,
            #[cfg(feature = "protobuf")]
            Slot::Protobuf(_) => Choice::Protobuf,
            #[cfg(feature = "plain")]
            Slot::Plain(_) => Choice::Plain,
            #[cfg(feature = "form")]
            Slot::Form(_) => Choice::Form,
            Slot::Own(index) => match self.0.codecs.get(usize::from(index)) {
                Some(codec) => Choice::Own(&**codec),
                None => Choice::Unknown,
            },
        }
    }
}

impl Slot {
    /// The built-in codecs are called without the detour through `dyn Codec`.
    fn of<C: Codec>(index: u8) -> Self {
        let id = TypeId::of::<C>();
        #[cfg(feature = "json")]
        if id == TypeId::of::<super::JsonCodec>() {
            return Self::Json(index);
        }
        #[cfg(feature = "protobuf")]
        if id == TypeId::of::<super::ProtobufCodec>() {
            return Self::Protobuf(index);
        }
        #[cfg(feature = "plain")]
        if id == TypeId::of::<super::PlainCodec>() {
            return Self::Plain(index);
        }
        #[cfg(feature = "form")]
        if id == TypeId::of::<super::FormCodec>() {
            return Self::Form(index);
        }
        let _ = id;
        Self::Own(index)
    }

    fn index(self) -> Option<usize> {
        match self {
            Self::Free => None,
            #[cfg(feature = "json")]
            Self::Json(index) => Some(usize::from(index)),
            #[cfg(feature = "protobuf")]
            Self::Protobuf(index) => Some(usize::from(index)),
            #[cfg(feature = "plain")]
            Self::Plain(index) => Some(usize::from(index)),
            #[cfg(feature = "form")]
            Self::Form(index) => Some(usize::from(index)),
            Self::Own(index) => Some(usize::from(index)),
        }
    }
}

impl Default for Codecs {
    fn default() -> Self {
        #[allow(unused_mut, reason = "there may be no built-in codec")]
        let mut codecs = Self::empty();
        // Ids and names of the built-in codecs differ, so none of these is refused.
        #[cfg(feature = "json")]
        let _ = codecs.register(super::JsonCodec);
        #[cfg(feature = "protobuf")]
        let _ = codecs.register(super::ProtobufCodec);
        #[cfg(feature = "plain")]
        let _ = codecs.register(super::PlainCodec);
        #[cfg(feature = "form")]
        let _ = codecs.register(super::FormCodec);
        codecs
    }
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter()
                    .map(|codec| (codec.id(), codec.name().to_owned())),
            )
            .finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use bytes::BytesMut;

    use super::super::{BodyRef, CodecError, FromBody, JSON, ToBody};
    use super::*;

    /// Writes JSON in brackets, under any id and name.
    struct Bracketed(u8, &'static str);

    impl Codec for Bracketed {
        fn id(&self) -> u8 {
            self.0
        }

        fn name(&self) -> &str {
            self.1
        }

        fn encode(
            &self,
            value: &dyn erased_serde::Serialize,
            dst: &mut BytesMut,
        ) -> Result<(), CodecError> {
            dst.extend_from_slice(b"(");
            let text = serde_json::to_string(value).map_err(CodecError::encode)?;
            dst.extend_from_slice(text.as_bytes());
            dst.extend_from_slice(b")");
            Ok(())
        }

        fn decode(
            &self,
            src: &[u8],
            seed: &mut dyn FnMut(
                &mut dyn erased_serde::Deserializer<'_>,
            ) -> Result<(), erased_serde::Error>,
        ) -> Result<(), CodecError> {
            let inner = src
                .strip_prefix(b"(")
                .and_then(|src| src.strip_suffix(b")"));
            let inner = inner.ok_or_else(|| CodecError::decode("no brackets"))?;
            let mut json = serde_json::Deserializer::from_slice(inner);
            seed(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
                .map_err(CodecError::decode)
        }
    }

    #[test]
    fn a_codec_of_the_users_own_is_used() {
        let mut codecs = Codecs::default();
        codecs.register(Bracketed(200, "bracketed")).unwrap();
        let mut dst = BytesMut::new();
        "text".encode_body(&codecs, 200, &mut dst).unwrap();
        assert_eq!(dst, "(\"text\")");
        assert_eq!(
            String::from_body(&codecs, 200, BodyRef::new(&dst)).unwrap(),
            "text"
        );
        assert_eq!(
            String::from_body(&codecs, 200, BodyRef::new(b"")).unwrap(),
            ""
        );
        assert!(String::from_body(&codecs, 200, BodyRef::new(b"(5)")).is_err());
        assert_eq!(codecs.id_of("bracketed"), Some(200));
    }

    #[test]
    fn under_a_built_in_id_it_wins_where_it_is_registered() {
        let mut codecs = Codecs::empty();
        codecs.register(Bracketed(JSON, "mine")).unwrap();
        let mut dst = BytesMut::new();
        5.encode_body(&codecs, JSON, &mut dst).unwrap();
        assert_eq!(dst, "(5)");
        assert_eq!(
            i32::from_body(&codecs, JSON, BodyRef::new(b"(5)")).unwrap(),
            5
        );
    }

    #[test]
    fn ids_and_names_are_given_once() {
        let mut codecs = Codecs::empty();
        codecs.register(Bracketed(1, "one")).unwrap();
        let before = codecs.clone();
        for (codec, named) in [
            (Bracketed(0, "zero"), ["zero", "no codec"]),
            (Bracketed(1, "two"), ["two", "one"]),
            (Bracketed(2, "one"), ["2", "1"]),
        ] {
            let text = codecs.register(codec).unwrap_err().to_string();
            assert!(named.iter().all(|part| text.contains(part)), "{text}");
        }
        codecs.register(Bracketed(2, "two")).unwrap();
        assert!(codecs.contains(2) && !before.contains(2));
        assert_eq!(codecs.iter().count(), 2);
        assert_eq!(format!("{codecs:?}"), r#"{1: "one", 2: "two"}"#);
    }

    #[test]
    fn nothing_needs_no_codec() {
        let codecs = Codecs::empty();
        let mut dst = BytesMut::new();
        ().encode_body(&codecs, 9, &mut dst).unwrap();
        None::<String>.encode_body(&codecs, 0, &mut dst).unwrap();
        assert!(dst.is_empty());
        let error = 1.encode_body(&codecs, 9, &mut dst).unwrap_err();
        assert_eq!(error.to_string(), "unsupported codec id: 9");
        let error = i32::from_body(&codecs, 0, BodyRef::new(b"1")).unwrap_err();
        assert_eq!(error.to_string(), "unsupported codec id: 0");
    }

    /// The built-in codecs answer through their trait as they do without it.
    #[cfg(all(
        feature = "json",
        feature = "plain",
        feature = "form",
        feature = "protobuf"
    ))]
    #[test]
    fn built_in_codecs_are_codecs() {
        use super::super::{FORM, PLAIN, PROTOBUF};

        let codecs = Codecs::default();
        let names = [
            (JSON, "json"),
            (PROTOBUF, "protobuf"),
            (PLAIN, "plain"),
            (FORM, "form"),
        ];
        for (id, name) in names {
            assert_eq!(codecs.get(id).unwrap().id(), id);
            assert_eq!(codecs.by_name(name).unwrap().name(), name);
        }
        let list = std::collections::BTreeMap::from([("a".to_owned(), vec!["1".to_owned()])]);
        for (id, text) in [(JSON, r#"{"a":["1"]}"#), (FORM, "a=1")] {
            let codec = codecs.get(id).unwrap();
            let mut dst = BytesMut::new();
            codec.encode(&list, &mut dst).unwrap();
            assert_eq!(dst, text);
            let mut back = None;
            codec
                .decode(text.as_bytes(), &mut |reader| {
                    back = Some(erased_serde::deserialize(reader)?);
                    Ok(())
                })
                .unwrap();
            assert_eq!(back, Some(list.clone()));
        }
        let mut dst = BytesMut::new();
        codecs.get(PLAIN).unwrap().encode(&5, &mut dst).unwrap();
        codecs.get(PROTOBUF).unwrap().encode(&(), &mut dst).unwrap();
        assert_eq!(dst, "5");
        assert!(codecs.get(PROTOBUF).unwrap().encode(&5, &mut dst).is_err());
    }
}
