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
