//! How a value becomes a body and comes back.
//!
//! Here live the [`Codec`] trait, the registry of a peer ([`Codecs`]), the built-in codecs and the
//! two traits that tie types to codecs: [`ToBody`] and [`FromBody`]. Which codec a message asks
//! for, and what a failure is answered with, is decided further up.
//!
//! # Which type speaks which codec
//!
//! | type | json, form, plain, a codec of your own | protobuf |
//! |---|---|---|
//! | a serde type | as it is | refused, but for `()` and `None` |
//! | a prost message, [`Protobuf`] | refused | as it is |
//! | ready bytes, [`Raw`] | untouched | untouched |
//!
//! A handler's argument and result are seen by the macros, so there a prost message needs no
//! wrapper, one that derives serde too speaks every codec, and `Bytes` or `Vec<u8>` is the body
//! itself.
//!
//! # Empties
//!
//! An empty body is the zero value of the wanted type, whatever the codec: 0, `""`, an empty list
//! or map, `None`, a struct of zeros. A type without a zero, such as an enum, is refused. `()` and
//! `None` become an empty body, and `()` reads any body by ignoring it.
//!
//! # JSON as Go writes and reads it
//!
//! Written: floats from 1e21 on and below 1e-6 with an exponent, `<`, `>` and `&` escaped, map
//! keys sorted, byte strings in base64, no NaN and no infinity. Read: `null` is the zero of what is
//! due, keys of a struct match in any case, unknown ones are ignored, a list of bytes may be
//! base64. A key that is missing is an error unless the field says `#[serde(default)]`; only a
//! prost message, whose fields all have a zero, fills them in.
//!
//! # Forms
//!
//! A form is a struct, or a map from a key to a list. Lists repeat their key, `None` is an empty
//! value, and a missing or empty value reads as zero.

mod body;
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "parts serve codecs that are off")
)]
mod error;
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "parts serve codecs that are off")
)]
mod fail;
#[cfg(feature = "form")]
mod form;
#[cfg(feature = "json")]
mod json;
mod nil;
#[cfg(any(feature = "json", feature = "plain", feature = "form"))]
mod number;
#[cfg(feature = "plain")]
mod plain;
pub(crate) mod probe;
#[cfg(feature = "protobuf")]
mod protobuf;
mod registry;
#[cfg_attr(
    not(feature = "full"),
    allow(
        unused_macros,
        unused_imports,
        reason = "parts serve codecs that are off"
    )
)]
mod shapes;
#[cfg(any(feature = "plain", feature = "form"))]
mod text;
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "parts serve codecs that are off")
)]
mod zero;

use bytes::BytesMut;
/// What the values of a [`Codec`] come as.
pub use erased_serde;

pub use self::body::{BodyRef, FromBody, Raw, ToBody};
pub use self::error::{CodecError, CodecErrorKind, RegisterError};
#[cfg(feature = "form")]
pub use self::form::FormCodec;
#[cfg(feature = "json")]
pub use self::json::JsonCodec;
#[cfg(feature = "plain")]
pub use self::plain::PlainCodec;
#[cfg(feature = "protobuf")]
pub use self::protobuf::{Protobuf, ProtobufCodec};
pub use self::registry::Codecs;

/// The id of no codec.
pub const NONE: u8 = 0;
/// The id of the json codec.
pub const JSON: u8 = b'j';
/// The id of the protobuf codec.
pub const PROTOBUF: u8 = b'p';
/// The id of the plain text codec.
pub const PLAIN: u8 = b's';
/// The id of the urlencoded form codec.
pub const FORM: u8 = b'f';

/// A body encoding.
///
/// Implement it for an encoding of your own and give it to [`Codecs::register`]. Values come as
/// type-erased serde values, so any serde data format fits:
///
/// ```
/// use bytes::BytesMut;
/// use teleport::codec::{Codec, CodecError, Codecs, erased_serde};
///
/// /// JSON with line breaks, for people who read along.
/// struct Pretty;
///
/// impl Codec for Pretty {
///     fn id(&self) -> u8 {
///         b'J'
///     }
///
///     fn name(&self) -> &str {
///         "pretty-json"
///     }
///
///     fn encode(
///         &self,
///         value: &dyn erased_serde::Serialize,
///         dst: &mut BytesMut,
///     ) -> Result<(), CodecError> {
///         let text = serde_json::to_vec_pretty(value).map_err(CodecError::encode)?;
///         dst.extend_from_slice(&text);
///         Ok(())
///     }
///
///     fn decode(
///         &self,
///         src: &[u8],
///         seed: &mut dyn FnMut(
///             &mut dyn erased_serde::Deserializer<'_>,
///         ) -> Result<(), erased_serde::Error>,
///     ) -> Result<(), CodecError> {
///         let mut json = serde_json::Deserializer::from_slice(src);
///         seed(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
///             .map_err(CodecError::decode)
///     }
/// }
///
/// # fn main() -> Result<(), teleport::codec::RegisterError> {
/// let mut codecs = Codecs::default();
/// codecs.register(Pretty)?;
/// assert_eq!(codecs.id_of("pretty-json"), Some(b'J'));
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a body codec",
    label = "not a codec",
    note = "implement `teleport::codec::Codec` for it: an id, a name, `encode` and `decode`"
)]
pub trait Codec: Send + Sync + 'static {
    /// The byte that names the codec on the wire, not 0.
    fn id(&self) -> u8;

    /// The name of the codec, for configuration and errors.
    fn name(&self) -> &str;

    /// Appends the encoding of `value`.
    ///
    /// What was appended before an error is taken back by the caller.
    ///
    /// # Errors
    ///
    /// The value has no form in this encoding.
    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        dst: &mut BytesMut,
    ) -> Result<(), CodecError>;

    /// Reads `src`, which is never empty, by handing a deserializer over it to `seed`.
    ///
    /// # Errors
    ///
    /// `seed` failed, or `src` holds more than the one value.
    fn decode(
        &self,
        src: &[u8],
        seed: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError>;
}
