#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests")]

use super::*;
