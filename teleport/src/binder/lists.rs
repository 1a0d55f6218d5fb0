//! Values that hold values.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Display;

use super::{Bind, Invalid, Param, Source};
use crate::rerror::Rerror;

macro_rules! bind_each {
    ($([$($generics:tt)*] $ty:ty, $of:ident, $iter:ident, $iter_mut:ident;)*) => {$(
        impl<$($generics)*> Bind for $ty {
            fn bind(&mut self, source: &mut Source<'_>) -> Result<(), Invalid> {
                for (key, value) in self.$iter_mut() {
                    value.bind(source).map_err(|invalid| within(&key, invalid))?;
                }
                Ok(())
            }

            fn check(&self) -> Result<(), Invalid> {
                for (key, value) in self.$iter() {
                    value.check().map_err(|invalid| within(&key, invalid))?;
                }
                Ok(())
            }

            fn error(handler: &str, param: &str, reason: &str) -> Option<Rerror> {
                $of::error(handler, param, reason)
            }
        }
    )*};
}

bind_each! {
    [K: Display, V: Bind, S] HashMap<K, V, S>, V, iter, iter_mut;
    [K: Display, V: Bind] BTreeMap<K, V>, V, iter, iter_mut;
    [T: Bind] Vec<T>, T, numbered, numbered_mut;
    [T: Bind] VecDeque<T>, T, numbered, numbered_mut;
    [T: Bind, const N: usize] [T; N], T, numbered, numbered_mut;
}

#[cold]
fn within(key: &dyn Display, invalid: Invalid) -> Invalid {
    invalid.within(&format!("[{key}]"))
}

/// Lists as maps from numbers.
trait Numbered<'a, T: 'a> {
    fn numbered(&'a self) -> impl Iterator<Item = (usize, &'a T)>;
    fn numbered_mut(&'a mut self) -> impl Iterator<Item = (usize, &'a mut T)>;
}

impl<'a, T: 'a, L: ?Sized> Numbered<'a, T> for L
where
    &'a L: IntoIterator<Item = &'a T>,
    &'a mut L: IntoIterator<Item = &'a mut T>,
    L: 'a,
{
    fn numbered(&'a self) -> impl Iterator<Item = (usize, &'a T)> {
        self.into_iter().enumerate()
    }

    fn numbered_mut(&'a mut self) -> impl Iterator<Item = (usize, &'a mut T)> {
        self.into_iter().enumerate()
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&mut self, source: &mut Source<'_>) -> Result<(), Invalid> {
        self.as_mut().map_or(Ok(()), |value| value.bind(source))
    }

    fn check(&self) -> Result<(), Invalid> {
        self.as_ref().map_or(Ok(()), T::check)
    }

    fn error(handler: &str, param: &str, reason: &str) -> Option<Rerror> {
        T::error(handler, param, reason)
    }
}

macro_rules! bind_inner {
    ($($ty:ty, $place:tt;)*) => {$(
        impl<T: Bind> Bind for $ty {
            const PARAMS: &'static [Param] = T::PARAMS;

            fn bind(&mut self, source: &mut Source<'_>) -> Result<(), Invalid> {
                bind_inner!(self $place).bind(source)
            }

            fn check(&self) -> Result<(), Invalid> {
                bind_inner!(self $place).check()
            }

            fn error(handler: &str, param: &str, reason: &str) -> Option<Rerror> {
                T::error(handler, param, reason)
            }
        }
    )*};
    ($this:ident *) => { (**$this) };
    ($this:ident 0) => { $this.0 };
}

bind_inner! { Box<T>, *; }
#[cfg(feature = "protobuf")]
bind_inner! { crate::codec::Protobuf<T>, 0; }
