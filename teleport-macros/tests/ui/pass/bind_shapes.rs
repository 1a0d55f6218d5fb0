//! What the derive takes.

use std::collections::HashMap;

use serde::Deserialize;
use teleport::{Bind, Rerror, controller};

#[derive(Deserialize, Bind)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
struct All {
    /// A number.
    #[param(range(-5..=5), desc = "")]
    #[cfg(any())]
    gone: i64,
    #[param(query, nonzero)]
    r#type: String,
    #[param(meta = "a b", len(0x1..=1_0u8))]
    r#fn: Vec<u8>,
    #[param(regex("a|b"))]
    #[param(rename = "The Name")]
    name: Option<String>,
}

#[derive(Deserialize, Bind)]
struct Generic<T, const N: usize>
where
    T: Default,
{
    #[param(range(1..), nonzero)]
    values: Vec<T>,
    #[param(nested)]
    inner: HashMap<String, Option<All>>,
    #[serde(skip)]
    _n: std::marker::PhantomData<[(); N]>,
}

#[derive(Deserialize, Bind)]
struct Empty {}

fn error(handler: &str, param: &str, reason: &str) -> Rerror {
    Rerror::internal([handler, param, reason].concat())
}

mod errors {
    pub(crate) use super::error;
}

struct Takes;

#[controller]
impl Takes {
    async fn all(&self, _arg: All) {}

    fn list(&self, arg: Vec<All>) -> usize {
        arg.len()
    }

    async fn empty(&self, _arg: Option<Empty>) {}
}

fn is_bound<T: Bind>() {}

fn main() {
    #[derive(Deserialize, Bind)]
    #[bind(error = "errors::error")]
    struct Local {
        #[param(len(1), regex = r#"^"$"#, error(code = -1))]
        quote: String,
        #[serde(flatten)]
        #[param(nested)]
        flat: Vec<Empty>,
    }

    is_bound::<Local>();
    is_bound::<Generic<i64, 3>>();
    let local = Local {
        quote: "'".to_owned(),
        flat: Vec::new(),
    };
    let invalid = local.check().unwrap_err();
    assert_eq!((invalid.param(), invalid.reason()), ("quote", "not match ^\"$: '"));
    assert_eq!(All::PARAMS.map_names(), ["type", "a b", "The Name"]);
}

trait Names {
    fn map_names(&self) -> Vec<&str>;
}

impl Names for [teleport::binder::Param] {
    fn map_names(&self) -> Vec<&str> {
        self.iter().map(|param| param.name).collect()
    }
}
