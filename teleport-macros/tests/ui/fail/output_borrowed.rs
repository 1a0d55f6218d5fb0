use std::borrow::Cow;
use std::future::Future;

use teleport::{Rerror, controller};

struct Names(String);

#[controller]
impl Names {
    async fn first(&self) -> &str {
        &self.0
    }

    async fn second(&self) -> Result<Cow<'_, str>, Rerror> {
        Ok(Cow::Borrowed(&self.0))
    }

    fn third(&self) -> impl Future<Output = String> {
        std::future::ready(String::new())
    }

    async fn fourth(&self) -> &'static str {
        "right"
    }
}

fn registers<T: teleport::__private::CallController>() {}

fn main() {
    registers::<Names>();
}
