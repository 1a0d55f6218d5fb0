//! The protocols that a standard peer may speak.

use std::sync::Arc;

use teleport::proto::{JsonProto, PbProto, Proto, RawProto};

/// The protocol of a peer, or of a recorded conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Spoken {
    /// The default one.
    #[default]
    Raw,
    /// JSON objects.
    Json,
    /// Protobuf messages.
    Pb,
}

impl Spoken {
    /// The protocol of that name, as recordings have it.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "raw" => Some(Self::Raw),
            "json" => Some(Self::Json),
            "pb" => Some(Self::Pb),
            _ => None,
        }
    }

    /// The protocol itself.
    #[must_use]
    pub fn proto(self) -> Arc<dyn Proto> {
        match self {
            Self::Raw => Arc::new(RawProto),
            Self::Json => Arc::new(JsonProto),
            Self::Pb => Arc::new(PbProto),
        }
    }

    /// What a limit of messages counts of a frame of that length.
    #[must_use]
    pub fn counted(self, len: usize) -> usize {
        match self {
            Self::Raw => len,
            // Their size field does not count itself.
            Self::Json | Self::Pb => len.saturating_sub(4),
        }
    }
}
