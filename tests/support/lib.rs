//! What the tests share.

pub mod alloc;
pub mod counting;
pub mod exchange;
pub mod frames;
pub mod fuzz;
pub mod logs;
pub mod middle;
pub mod pair;
pub mod standard;
pub mod vectors;

/// What the README shows, as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeDoctests;

/// What the page on lifecycle shows.
#[cfg(all(doctest, unix))]
#[doc = include_str!("../../docs/lifecycle.md")]
struct LifecycleDoctests;

/// What the page on networks shows.
#[cfg(all(doctest, unix))]
#[doc = include_str!("../../docs/networks.md")]
struct NetworksDoctests;

/// What the page on TLS shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/tls.md")]
struct TlsDoctests;

/// What the page on rules for arguments shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/binder.md")]
struct BinderDoctests;

/// What the page on protocols shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/protocols.md")]
struct ProtocolsDoctests;
