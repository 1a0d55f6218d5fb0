//! Where parameters come from, beside the body.

use std::any::Any;

use super::FromParam;
use super::text::kind_of;
use crate::context::Received;

/// A message as a source of parameters.
#[derive(Debug)]
pub struct Source<'a> {
    message: &'a mut Received,
}

impl<'a> Source<'a> {
    /// Takes parameters from a message.
    pub fn new(message: &'a mut Received) -> Self {
        Self { message }
    }

    /// The message.
    #[must_use]
    pub fn message(&mut self) -> &mut Received {
        self.message
    }

    /// Sets a parameter from the query of the uri. One that the query does not have stays as it is.
    ///
    /// # Errors
    ///
    /// Says why the text is no value of the type.
    pub fn query<T: FromParam>(&mut self, key: &str, into: &mut T) -> Result<(), String> {
        let values: Vec<&[u8]> = self.message.uri().query_all(key).collect();
        set(&values, into)
    }

    /// Sets a parameter from the metadata. One that the metadata do not have stays as it is.
    ///
    /// # Errors
    ///
    /// Says why the text is no value of the type.
    pub fn meta<T: FromParam>(&mut self, key: &str, into: &mut T) -> Result<(), String> {
        let values: Vec<&[u8]> = self.message.meta().get_all(key).collect();
        set(&values, into)
    }

    /// Sets a parameter from the message's swap. One that the swap does not have stays as it is.
    /// A number may have another type there, as long as the value is one of the type here.
    ///
    /// # Errors
    ///
    /// The value there has another type.
    pub fn swap<T: Any + Clone>(&mut self, key: &str, into: &mut T) -> Result<(), String> {
        if let Some(value) = self.taken(key)? {
            *into = value;
        }
        Ok(())
    }

    /// [`swap`](Self::swap) for an option: a value there is `Some` here.
    ///
    /// # Errors
    ///
    /// As [`swap`](Self::swap).
    pub fn swap_option<T: Any + Clone>(
        &mut self,
        key: &str,
        into: &mut Option<T>,
    ) -> Result<(), String> {
        if let Some(value) = self.message.swap().get::<Option<T>>(key) {
            into.clone_from(value);
        } else if let Some(value) = self.taken(key)? {
            *into = Some(value);
        }
        Ok(())
    }

    fn taken<T: Any + Clone>(&mut self, key: &str) -> Result<Option<T>, String> {
        let swap = self.message.swap();
        if let Some(value) = swap.get::<T>(key) {
            return Ok(Some(value.clone()));
        }
        if !swap.contains(key) {
            return Ok(None);
        }
        let mut slot: Option<T> = None;
        self.convert(key, &mut slot);
        match slot {
            Some(value) => Ok(Some(value)),
            None => Err(format!("{} can not be setted", kind_of::<T>())),
        }
    }

    /// Fills a slot, which is an option of what is wanted, if the value there can be turned into it.
    fn convert(&mut self, key: &str, slot: &mut dyn Any) {
        if let Some(slot) = slot.downcast_mut::<Option<String>>() {
            let text = self.message.swap().get::<&'static str>(key);
            *slot = text.map(|text| (*text).to_owned());
        } else if let Some(number) = self.swap_number(key) {
            number.store(slot);
        }
    }

    fn swap_number(&mut self, key: &str) -> Option<Converted> {
        let swap = self.message.swap();
        macro_rules! first {
            ($kind:ident: $($ty:ty)*) => {
                $(if let Some(value) = swap.get::<$ty>(key) {
                    return Some(Converted::$kind((*value).try_into().ok()?));
                })*
            };
        }
        first! { Int: i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }
        first! { Float: f32 f64 }
        None
    }
}

fn set<T: FromParam>(values: &[&[u8]], into: &mut T) -> Result<(), String> {
    if !values.is_empty() {
        *into = T::from_params(values)?;
    }
    Ok(())
}

/// A number on its way from one type to another.
enum Converted {
    Int(i128),
    Float(f64),
}

impl Converted {
    /// Fills the slot if it is one of a number that can be this one.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "as far as the precision of floats goes; `as` saturates, and the target is asked"
    )]
    fn store(&self, slot: &mut dyn Any) {
        let (int, float) = match *self {
            Self::Int(int) => (Some(int), int as f64),
            Self::Float(float) => (Some(float as i128).filter(|i| *i as f64 == float), float),
        };
        macro_rules! into_first {
            ($($ty:ty)*) => {
                $(if let Some(slot) = slot.downcast_mut::<Option<$ty>>() {
                    *slot = int.and_then(|int| int.try_into().ok());
                    return;
                })*
            };
        }
        into_first! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }
        if let Some(slot) = slot.downcast_mut() {
            *slot = Some(float as f32);
        } else if let Some(slot) = slot.downcast_mut() {
            *slot = Some(float);
        }
    }
}
