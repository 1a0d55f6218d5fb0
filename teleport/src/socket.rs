//! Byte streams: where their ends are, how they come apart, what accepts them.

mod address;
mod listener;
mod options;
mod stream;

pub use address::{Address, AddressError, Family, HostPort};
pub use listener::{Listener, bind_tcp};
pub use options::SocketOptions;
pub use stream::{Halves, connect_tcp, halves};
