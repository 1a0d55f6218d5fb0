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

/// What the page on configuration shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/configuration.md")]
struct ConfigurationDoctests;

/// What the page on codecs shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/codecs.md")]
struct CodecsDoctests;

/// What the page on transfer filters shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/filters.md")]
struct FiltersDoctests;

/// What the page on logs shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/logs.md")]
struct LogsDoctests;

/// What the page on handlers shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/routes.md")]
struct RoutesDoctests;

/// What the page on rules for arguments shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/binder.md")]
struct BinderDoctests;

/// What the page on protocols shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/protocols.md")]
struct ProtocolsDoctests;

/// What the page on who is there shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/auth.md")]
struct AuthDoctests;

/// What the page on signs of life shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/heartbeat.md")]
struct HeartbeatDoctests;

/// What the page on limits shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/overload.md")]
struct OverloadDoctests;

/// What the page on plugins shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins.md")]
struct PluginsDoctests;

/// What the page on encryption shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/secure.md")]
struct SecureDoctests;

/// What the page on forwarding shows.
#[cfg(doctest)]
#[doc = include_str!("../../docs/proxy.md")]
struct ProxyDoctests;
