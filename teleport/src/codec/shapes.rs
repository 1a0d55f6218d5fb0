//! The shapes of serde's data model that a codec treats alike: one line in a serializer for all
//! that it refuses, and one for what it looks through.

/// Writes the methods of a serializer for shapes that it refuses, all with one error.
macro_rules! refuse_to_write {
    ($refusal:expr =>) => {};
    ($refusal:expr => scalars $($more:ident)*) => {
        refuse_to_write! { @methods $refusal =>
            serialize_bool(bool)
            serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
            serialize_i128(i128)
            serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
            serialize_u128(u128)
            serialize_f32(f32) serialize_f64(f64) serialize_char(char)
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => strings $($more:ident)*) => {
        refuse_to_write! { @methods $refusal => serialize_str(&str) }
        fn collect_str<T: ::std::fmt::Display + ?Sized>(self, _: &T) -> Result<(), Self::Error> {
            Err($refusal)
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => bytes $($more:ident)*) => {
        refuse_to_write! { @methods $refusal => serialize_bytes(&[u8]) }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => nothing $($more:ident)*) => {
        refuse_to_write! { @methods $refusal =>
            serialize_none() serialize_unit() serialize_unit_struct(&'static str)
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => unit_variants $($more:ident)*) => {
        refuse_to_write! { @methods $refusal =>
            serialize_unit_variant(&'static str, u32, &'static str)
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => full_variants $($more:ident)*) => {
        fn serialize_newtype_variant<T: ::serde::Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Self::Error> {
            Err($refusal)
        }
        refuse_to_write! { @compounds $refusal =>
            serialize_tuple_variant(&'static str, u32, &'static str, usize) SerializeTupleVariant
            serialize_struct_variant(&'static str, u32, &'static str, usize) SerializeStructVariant
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => lists $($more:ident)*) => {
        refuse_to_write! { @compounds $refusal =>
            serialize_seq(Option<usize>) SerializeSeq
            serialize_tuple(usize) SerializeTuple
            serialize_tuple_struct(&'static str, usize) SerializeTupleStruct
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => maps $($more:ident)*) => {
        refuse_to_write! { @compounds $refusal => serialize_map(Option<usize>) SerializeMap }
        refuse_to_write! { $refusal => $($more)* }
    };
    ($refusal:expr => structs $($more:ident)*) => {
        refuse_to_write! { @compounds $refusal =>
            serialize_struct(&'static str, usize) SerializeStruct
        }
        refuse_to_write! { $refusal => $($more)* }
    };
    (@methods $refusal:expr => $($method:ident($($ty:ty),*))*) => {
        $(fn $method(self, $(_: $ty),*) -> Result<(), Self::Error> {
            Err($refusal)
        })*
    };
    (@compounds $refusal:expr => $($method:ident($($ty:ty),*) $compound:ident)*) => {
        $(
            type $compound = ::serde::ser::Impossible<(), Self::Error>;

            fn $method(self, $(_: $ty),*) -> Result<Self::$compound, Self::Error> {
                Err($refusal)
            }
        )*
    };
}

/// Writes the methods of a serializer for `Some` and newtype structs: as what is in them.
macro_rules! write_wrapped {
    () => {
        fn serialize_some<T: ::serde::Serialize + ?Sized>(
            self,
            value: &T,
        ) -> Result<(), Self::Error> {
            value.serialize(self)
        }

        fn serialize_newtype_struct<T: ::serde::Serialize + ?Sized>(
            self,
            _: &'static str,
            value: &T,
        ) -> Result<(), Self::Error> {
            value.serialize(self)
        }
    };
}

/// Writes the method of a serializer for variants without content: as their names.
macro_rules! write_variant_names {
    () => {
        fn serialize_unit_variant(
            self,
            _: &'static str,
            _: u32,
            variant: &'static str,
        ) -> Result<(), Self::Error> {
            self.serialize_str(variant)
        }
    };
}

/// Writes the methods of a serializer for narrow integers: as the widest of their sign.
macro_rules! write_widened {
    () => {
        write_widened! {
            serialize_i8(i8) serialize_i64
            serialize_i16(i16) serialize_i64
            serialize_i32(i32) serialize_i64
            serialize_u8(u8) serialize_u64
            serialize_u16(u16) serialize_u64
            serialize_u32(u32) serialize_u64
        }
    };
    ($($method:ident($ty:ty) $widest:ident)+) => {
        $(#[inline]
        fn $method(self, value: $ty) -> Result<(), Self::Error> {
            self.$widest(value.into())
        })+
    };
}

/// Writes the methods of a deserializer for shapes that it refuses, all with one error.
macro_rules! refuse_to_read {
    ($refusal:expr =>) => {};
    ($refusal:expr => anything $($more:ident)*) => {
        refuse_to_read! { @methods $refusal => deserialize_any() }
        refuse_to_read! { $refusal => $($more)* }
    };
    ($refusal:expr => scalars $($more:ident)*) => {
        refuse_to_read! { @methods $refusal =>
            deserialize_bool()
            deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
            deserialize_i128()
            deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64()
            deserialize_u128()
            deserialize_f32() deserialize_f64() deserialize_char()
        }
        refuse_to_read! { $refusal => $($more)* }
    };
    ($refusal:expr => strings $($more:ident)*) => {
        refuse_to_read! { @methods $refusal =>
            deserialize_str() deserialize_string() deserialize_identifier()
            deserialize_bytes() deserialize_byte_buf()
        }
        refuse_to_read! { $refusal => $($more)* }
    };
    ($refusal:expr => lists $($more:ident)*) => {
        refuse_to_read! { @methods $refusal =>
            deserialize_seq()
            deserialize_tuple(usize)
            deserialize_tuple_struct(&'static str, usize)
        }
        refuse_to_read! { $refusal => $($more)* }
    };
    ($refusal:expr => maps $($more:ident)*) => {
        refuse_to_read! { @methods $refusal => deserialize_map() }
        refuse_to_read! { $refusal => $($more)* }
    };
    ($refusal:expr => structs $($more:ident)*) => {
        refuse_to_read! { @methods $refusal =>
            deserialize_struct(&'static str, &'static [&'static str])
        }
        refuse_to_read! { $refusal => $($more)* }
    };
    ($refusal:expr => enums $($more:ident)*) => {
        refuse_to_read! { @methods $refusal =>
            deserialize_enum(&'static str, &'static [&'static str])
        }
        refuse_to_read! { $refusal => $($more)* }
    };
    (@methods $refusal:expr => $($method:ident($($ty:ty),*))*) => {
        $(fn $method<V: ::serde::de::Visitor<'de>>(
            self,
            $(_: $ty,)*
            _: V,
        ) -> Result<V::Value, Self::Error> {
            Err($refusal)
        })*
    };
}

/// Writes the methods of a deserializer for units, for what is ignored, and for newtype structs,
/// which are what is in them.
macro_rules! read_units_and_wrapped {
    () => {
        fn deserialize_unit<V: ::serde::de::Visitor<'de>>(
            self,
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            visitor.visit_unit()
        }

        fn deserialize_unit_struct<V: ::serde::de::Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            visitor.visit_unit()
        }

        fn deserialize_ignored_any<V: ::serde::de::Visitor<'de>>(
            self,
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            visitor.visit_unit()
        }

        fn deserialize_newtype_struct<V: ::serde::de::Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            visitor.visit_newtype_struct(self)
        }
    };
}

pub(super) use {
    read_units_and_wrapped, refuse_to_read, refuse_to_write, write_variant_names, write_widened,
    write_wrapped,
};
