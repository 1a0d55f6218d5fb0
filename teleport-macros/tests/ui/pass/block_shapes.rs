use std::collections::HashMap;

use teleport::{CallCtx, Rerror, controller};

type Answer<T> = Result<T, Rerror>;

struct Pair {
    a: i64,
    b: i64,
}

struct Math {
    offset: i64,
}

#[controller]
impl Math {
    const LIMIT: i64 = 10;

    #[route(skip)]
    fn new(pair: Pair) -> Self {
        Self { offset: pair.a - pair.b }
    }

    #[route(skip)]
    fn clamp(&mut self) {
        self.offset = self.offset.min(Self::LIMIT);
    }

    async fn nothing(&self) {}

    fn not_async(&self) -> i64 {
        self.offset
    }

    async fn context_only(&self, ctx: &mut CallCtx) -> Result<String, Rerror> {
        Ok(ctx.query("author").unwrap_or_default().to_owned())
    }

    pub async fn shared_context(&self, ctx: &CallCtx, arg: (String, u8)) -> Answer<u8> {
        let _ = ctx.query(&arg.0);
        Ok(arg.1)
    }

    pub(crate) async fn patterns(&self, (a, b): (i64, i64)) -> i64 {
        a + b + self.offset
    }

    async fn mutable(&self, ctx: &mut teleport::CallCtx, mut arg: Vec<i64>) -> Vec<i64> {
        let _ = ctx;
        arg.push(self.offset);
        arg
    }

    async fn r#type(&self, _: HashMap<String, i64>) -> &'static str {
        "raw"
    }

    async fn named<'a>(&'a self, ctx: &'a mut CallCtx) {
        let _ = ctx;
    }
}

fn routes<T: teleport::__private::CallController>(_: &T) -> Vec<&'static str> {
    T::ROUTES.iter().map(|route| route.path).collect()
}

fn main() {
    let mut math = Math::new(Pair { a: 3, b: 1 });
    math.clamp();
    assert_eq!(
        routes(&math),
        [
            "/math/nothing",
            "/math/not/async",
            "/math/context/only",
            "/math/shared/context",
            "/math/patterns",
            "/math/mutable",
            "/math/type",
            "/math/named",
        ]
    );
}
