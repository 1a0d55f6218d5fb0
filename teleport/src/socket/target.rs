//! What can name a place to dial or to listen on.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Address, Place};

/// Whatever names a place to dial or to listen on: a text such as `host:port`, or an address.
///
/// # Examples
///
/// ```
/// use teleport::socket::{Address, ToAddress};
///
/// assert_eq!(":9090".to_address(), ":9090");
/// let known = Address::Tcp(([127, 0, 0, 1], 9090).into());
/// assert_eq!((&known).to_address(), "127.0.0.1:9090");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an address",
    label = "write a text such as \"host:port\", or an `Address` or `SocketAddr`"
)]
pub trait ToAddress {
    /// The address as a text.
    fn to_address(&self) -> Cow<'_, str>;
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> Cow<'_, str> {
        (**self).to_address()
    }
}

impl ToAddress for str {
    fn to_address(&self) -> Cow<'_, str> {
        self.into()
    }
}

macro_rules! texts {
    ($($ty:ty),+) => {
        $(impl ToAddress for $ty {
            fn to_address(&self) -> Cow<'_, str> {
                (**self).into()
            }
        })+
    };
}

texts!(String, Box<str>, Arc<str>, Cow<'_, str>);

macro_rules! addresses {
    ($($ty:ty),+) => {
        $(impl ToAddress for $ty {
            fn to_address(&self) -> Cow<'_, str> {
                self.to_string().into()
            }
        })+
    };
}

addresses!(SocketAddr, Place);

impl ToAddress for Address {
    /// With the network in front, where the text alone does not tell.
    fn to_address(&self) -> Cow<'_, str> {
        match self {
            Self::Unix(Some(path)) => format!("unix:{}", path.display()).into(),
            Self::UnixPacket(Some(path)) => format!("unixpacket:{}", path.display()).into(),
            _ => self.to_string().into(),
        }
    }
}
