//! Routes: how names become paths.

mod path;

pub use self::path::{join_path, to_uri_path};
