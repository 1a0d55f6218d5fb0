//! The choice of a body form by type, for macro output.
//!
//! Where a type is known by name, the compiler can see whether it is a prost message, a serde type
//! or both. The probes below make it tell: a method is looked for on `&&&&&Probe<T>`, then on
//! `&&&&Probe<T>` and so on, and is implemented at each depth for the types that are served there.
//! The first that fits is taken, and the last fits all, to give one clear error.
//!
//! Numbers, strings and `()` are prost messages too, in prost's eyes, so they are named first.

use std::fmt;
use std::marker::PhantomData;
use std::mem;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "protobuf")]
use super::Protobuf;
#[cfg(feature = "protobuf")]
use super::registry::Choice;
use super::{BodyRef, CodecError, Codecs, FromBody, Raw, ToBody, body};
use crate::rerror::Rerror;

/// The bytes of the body themselves.
#[derive(Clone, Copy, Debug)]
pub struct Untouched;
/// A type of this crate that knows its way.
#[derive(Clone, Copy, Debug)]
pub struct Wrapped;
/// A prost message in its wrapper.
#[cfg(feature = "protobuf")]
#[derive(Clone, Copy, Debug)]
pub struct WrappedMessage;
/// A prost message that speaks serde too.
#[cfg(feature = "protobuf")]
#[derive(Clone, Copy, Debug)]
pub struct Both;
/// A prost message.
#[cfg(feature = "protobuf")]
#[derive(Clone, Copy, Debug)]
pub struct Message;
/// A serde type.
#[derive(Clone, Copy, Debug)]
pub struct Serde;
/// None of these.
#[derive(Clone, Copy, Debug)]
pub struct Unsupported;

/// What an argument can be. Implemented by nothing: it only words the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the argument of a handler",
    label = "no codec can read a body into this",
    note = "derive `serde::Deserialize` for it (json, form, plain) or `prost::Message` (protobuf) \
            or both, or take the bytes as `Bytes` or `Vec<u8>`"
)]
pub trait Argument {}

/// What a result can be. Implemented by nothing: it only words the error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a handler",
    label = "no codec can make a body of this",
    note = "derive `serde::Serialize` for it (json, form, plain) or `prost::Message` (protobuf) \
            or both, or return the bytes as `Bytes` or `Vec<u8>`"
)]
pub trait ResultBody {}

/// What the error of a handler can be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handler",
    label = "does not convert into `Rerror`",
    note = "implement `From<{Self}> for Rerror`, or map the error to a `Rerror`"
)]
pub trait IntoRerror {
    #[doc(hidden)]
    fn into_rerror(self) -> Rerror;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Rerror>> IntoRerror for E {
    fn into_rerror(self) -> Rerror {
        self.into()
    }
}

/// Asks how an argument is read.
pub struct ArgProbe<T>(PhantomData<fn() -> T>);

/// Asks how a result is written.
pub struct ReplyProbe<T>(PhantomData<fn() -> T>);

/// Asks whether a handler can fail.
pub struct OutcomeProbe<T>(PhantomData<fn() -> T>);

impl<T> ArgProbe<T> {
    /// The question about `T`.
    pub const NEW: Self = Self(PhantomData);
}

impl<T> ReplyProbe<T> {
    /// The question about the type of the value.
    #[must_use]
    pub const fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

impl<T> OutcomeProbe<T> {
    /// The question about the type of the value.
    #[must_use]
    pub const fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

/// How an argument of type `T` is read.
pub struct ArgAs<T, K>(PhantomData<fn() -> (T, K)>);

/// How a result of type `T` is written.
pub struct ReplyAs<T, K>(PhantomData<fn() -> (T, K)>);

macro_rules! named {
    ($($name:ident<$($param:ident),*>)*) => {
        $(impl<$($param),*> fmt::Debug for $name<$($param),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        })*
    };
}

named! { ArgProbe<T> ReplyProbe<T> OutcomeProbe<T> ArgAs<T, K> ReplyAs<T, K> }

/// Tells how an argument is read.
pub trait PickArg {
    /// The answer.
    type As;
    /// Gives the answer.
    fn __tp_arg(self) -> Self::As;
}

/// Tells how a result is written.
pub trait PickReply {
    /// The answer.
    type As;
    /// Gives the answer.
    fn __tp_reply(self) -> Self::As;
}

macro_rules! arm {
    ($trait:ident $method:ident $as:ident [$($generics:tt)*] $probe:ty, $ty:ty => $kind:ident) => {
        impl<$($generics)*> $trait for $probe {
            type As = $as<$ty, $kind>;
            #[inline]
            fn $method(self) -> Self::As {
                $as(PhantomData)
            }
        }
    };
}

macro_rules! arm_each {
    ($kind:ident: $($ty:ty),* $(,)?) => {
        $(
            arm! { PickArg __tp_arg ArgAs [] &&&&&ArgProbe<$ty>, $ty => $kind }
            arm! { PickReply __tp_reply ReplyAs [] &&&&&ReplyProbe<$ty>, $ty => $kind }
        )*
    };
}

arm_each! { Untouched: Bytes, Vec<u8> }
arm_each! {
    Serde: (), bool, char, i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32,
    f64, String,
}

arm! { PickArg __tp_arg ArgAs [B] &&&&&ArgProbe<Raw<B>>, Raw<B> => Wrapped }
arm! { PickReply __tp_reply ReplyAs [B] &&&&&ReplyProbe<Raw<B>>, Raw<B> => Wrapped }
#[cfg(feature = "protobuf")]
arm! { PickArg __tp_arg ArgAs [M] &&&&&ArgProbe<Protobuf<M>>, Protobuf<M> => Wrapped }
#[cfg(feature = "protobuf")]
arm! { PickReply __tp_reply ReplyAs [M] &&&&&ReplyProbe<Protobuf<M>>, Protobuf<M> => WrappedMessage }

#[cfg(feature = "protobuf")]
arm! { PickArg __tp_arg ArgAs [T: prost::Message + Default + DeserializeOwned]
&&&&ArgProbe<T>, T => Both }
#[cfg(feature = "protobuf")]
arm! { PickArg __tp_arg ArgAs [T: prost::Message + Default] &&&ArgProbe<T>, T => Message }
arm! { PickArg __tp_arg ArgAs [T: DeserializeOwned] &&ArgProbe<T>, T => Serde }
arm! { PickArg __tp_arg ArgAs [T] &ArgProbe<T>, T => Unsupported }

#[cfg(feature = "protobuf")]
arm! { PickReply __tp_reply ReplyAs [T: prost::Message + Serialize] &&&&ReplyProbe<T>, T => Both }
#[cfg(feature = "protobuf")]
arm! { PickReply __tp_reply ReplyAs [T: prost::Message] &&&ReplyProbe<T>, T => Message }
arm! { PickReply __tp_reply ReplyAs [T: Serialize] &&ReplyProbe<T>, T => Serde }
arm! { PickReply __tp_reply ReplyAs [T] &ReplyProbe<T>, T => Unsupported }

macro_rules! decode_by {
    ([$($generics:tt)*] $ty:ty, $kind:ident, |$codecs:ident, $codec:ident, $body:ident| $read:expr) => {
        impl<$($generics)*> ArgAs<$ty, $kind> {
            /// Reads the body.
            ///
            /// # Errors
            ///
            /// As [`FromBody::from_body`].
            #[inline]
            pub fn decode(
                self,
                $codecs: &Codecs,
                $codec: u8,
                $body: BodyRef<'_>,
            ) -> Result<$ty, CodecError> {
                $read
            }
        }
    };
}

decode_by! { [] Bytes, Untouched, |_codecs, _codec, body| Ok(body.to_bytes()) }
decode_by! { [] Vec<u8>, Untouched, |_codecs, _codec, body| Ok(body.as_slice().to_vec()) }
decode_by! { [T: FromBody] T, Wrapped, |codecs, codec, body| T::from_body(codecs, codec, body) }
decode_by! { [T: DeserializeOwned] T, Serde, |codecs, codec, body| {
    body::decode_serde(codecs, codec, body)
} }
#[cfg(feature = "protobuf")]
decode_by! { [T: prost::Message + Default] T, Message, |codecs, codec, body| {
    super::protobuf::decode_message(codecs, codec, body)
} }
#[cfg(feature = "protobuf")]
decode_by! { [T: prost::Message + Default + DeserializeOwned] T, Both, |codecs, codec, body| {
    if body.is_empty() {
        return Ok(T::default());
    }
    match codecs.choose(codec) {
        Choice::Protobuf => super::protobuf::decode(body.as_slice()),
        // A message has no required fields: what JSON leaves out is zero.
        _ => body::decode(codecs, codec, body, true),
    }
} }

impl<T> ArgAs<T, Unsupported> {
    /// Does not compile, with the text of [`Argument`].
    ///
    /// # Errors
    ///
    /// Always.
    pub fn decode(self, _: &Codecs, _: u8, _: BodyRef<'_>) -> Result<T, CodecError>
    where
        T: Argument,
    {
        Err(CodecError::unsupported_type::<T>("any", "it is no body"))
    }
}

/// A result on its way to a body.
pub trait ReplyBody: Send {
    /// Appends the result in the codec with the id; after an error `dst` is as it was.
    ///
    /// # Errors
    ///
    /// As [`ToBody::encode_body`].
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError>;

    /// Takes a result that is the body itself, whatever the codec.
    fn take_bytes(&mut self) -> Option<Bytes> {
        None
    }
}

/// A result of type `T`, written as `K` says.
pub struct Enc<T, K>(T, PhantomData<fn() -> K>);

named! { Enc<T, K> }

macro_rules! wrap_as {
    ($([$($bounds:tt)*] $kind:ident)*) => {
        $(impl<T: $($bounds)*> ReplyAs<T, $kind> {
            /// Makes a body of the value.
            #[inline]
            pub fn wrap(self, value: T) -> Enc<T, $kind> {
                Enc(value, PhantomData)
            }
        })*
    };
}

wrap_as! { [] Untouched [] Wrapped [] Serde }
#[cfg(feature = "protobuf")]
wrap_as! { [] Both [] Message [] WrappedMessage }

impl<T> ReplyAs<T, Unsupported> {
    /// Does not compile, with the text of [`ResultBody`].
    pub fn wrap(self, value: T) -> Enc<T, Unsupported>
    where
        T: ResultBody,
    {
        Enc(value, PhantomData)
    }
}

impl ReplyBody for Enc<Bytes, Untouched> {
    fn encode(&self, _: &Codecs, _: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        dst.extend_from_slice(&self.0);
        Ok(())
    }

    fn take_bytes(&mut self) -> Option<Bytes> {
        Some(mem::take(&mut self.0))
    }
}

impl ReplyBody for Enc<Vec<u8>, Untouched> {
    fn encode(&self, _: &Codecs, _: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        dst.extend_from_slice(&self.0);
        Ok(())
    }

    fn take_bytes(&mut self) -> Option<Bytes> {
        Some(mem::take(&mut self.0).into())
    }
}

impl<B: Send> ReplyBody for Enc<Raw<B>, Wrapped>
where
    Raw<B>: ToBody,
{
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        self.0.encode_body(codecs, codec, dst)
    }

    fn take_bytes(&mut self) -> Option<Bytes> {
        self.0.as_bytes().cloned()
    }
}

#[cfg(feature = "protobuf")]
impl<T: prost::Message + Serialize> ReplyBody for Enc<T, Both> {
    #[inline]
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        match codecs.choose(codec) {
            Choice::Protobuf => super::protobuf::encode(&self.0, dst),
            _ => body::encode_serde(codecs, codec, &self.0, dst),
        }
    }
}

#[cfg(feature = "protobuf")]
impl<T: prost::Message> ReplyBody for Enc<T, Message> {
    #[inline]
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        super::protobuf::encode_message(codecs, codec, &self.0, dst)
    }
}

#[cfg(feature = "protobuf")]
impl<M: prost::Message> ReplyBody for Enc<Protobuf<M>, WrappedMessage> {
    #[inline]
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        super::protobuf::encode_message(codecs, codec, &self.0.0, dst)
    }
}

impl<T: Serialize + Send> ReplyBody for Enc<T, Serde> {
    #[inline]
    fn encode(&self, codecs: &Codecs, codec: u8, dst: &mut BytesMut) -> Result<(), CodecError> {
        body::encode_serde(codecs, codec, &self.0, dst)
    }
}

impl<T: Send> ReplyBody for Enc<T, Unsupported> {
    fn encode(&self, _: &Codecs, _: u8, _: &mut BytesMut) -> Result<(), CodecError> {
        Err(CodecError::unsupported_type::<T>("any", "it is no body"))
    }
}

/// A handler that can fail.
#[derive(Clone, Copy, Debug)]
pub struct Fallible;
/// A handler that cannot.
#[derive(Clone, Copy, Debug)]
pub struct Infallible;

/// Tells whether a handler can fail.
pub trait PickOutcome {
    /// The answer.
    type Shape;
    /// Gives the answer.
    fn __tp_shape(self) -> Self::Shape;
}

impl<T, E> PickOutcome for &&OutcomeProbe<Result<T, E>> {
    type Shape = Fallible;

    #[inline]
    fn __tp_shape(self) -> Fallible {
        Fallible
    }
}

impl<T> PickOutcome for &OutcomeProbe<T> {
    type Shape = Infallible;

    #[inline]
    fn __tp_shape(self) -> Infallible {
        Infallible
    }
}

impl Fallible {
    /// Parts result and error.
    ///
    /// # Errors
    ///
    /// The handler's own.
    #[inline]
    pub fn part<T, E: IntoRerror>(self, value: Result<T, E>) -> Result<T, Rerror> {
        value.map_err(E::into_rerror)
    }
}

impl Infallible {
    /// Takes the value as the result.
    ///
    /// # Errors
    ///
    /// Never.
    #[inline]
    pub fn part<T>(self, value: T) -> Result<T, Rerror> {
        Ok(value)
    }
}

/// Reads a body into the argument's type: `decode_arg!(T, codecs, codec, body)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __tp_decode_arg {
    ($ty:ty, $codecs:expr, $codec:expr, $body:expr $(,)?) => {{
        use $crate::__private::body::PickArg as _;
        (&&&&&$crate::__private::body::ArgProbe::<$ty>::NEW)
            .__tp_arg()
            .decode($codecs, $codec, $body)
    }};
}

/// Makes `Result<impl ReplyBody, Rerror>` of what a call handler returns.
#[doc(hidden)]
#[macro_export]
macro_rules! __tp_outcome {
    ($value:expr $(,)?) => {{
        use $crate::__private::body::{PickOutcome as _, PickReply as _};
        match $value {
            __tp_value => {
                let __tp_shape =
                    (&&$crate::__private::body::OutcomeProbe::of(&__tp_value)).__tp_shape();
                match __tp_shape.part(__tp_value) {
                    $crate::__private::body::Result::Ok(__tp_value) => {
                        let __tp_as = (&&&&&$crate::__private::body::ReplyProbe::of(&__tp_value))
                            .__tp_reply();
                        $crate::__private::body::Result::Ok(__tp_as.wrap(__tp_value))
                    }
                    $crate::__private::body::Result::Err(__tp_error) => {
                        $crate::__private::body::Result::Err(__tp_error)
                    }
                }
            }
        }
    }};
}

/// Makes `Result<(), Rerror>` of what a push handler returns.
#[doc(hidden)]
#[macro_export]
macro_rules! __tp_push_outcome {
    ($value:expr $(,)?) => {{
        use $crate::__private::body::PickOutcome as _;
        match $value {
            __tp_value => {
                let __tp_shape =
                    (&&$crate::__private::body::OutcomeProbe::of(&__tp_value)).__tp_shape();
                let __tp_done: $crate::__private::body::Result<(), $crate::__private::Rerror> =
                    __tp_shape.part(__tp_value);
                __tp_done
            }
        }
    }};
}
