use std::marker::PhantomData;

use teleport::{Rerror, controller, push_handler};

trait Parse: Sized {
    fn parse(text: &str) -> Option<Self>;
}

impl Parse for i64 {
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

struct Parser<T, const N: usize>(PhantomData<fn() -> T>);

#[controller]
impl<T: Send + Sync + 'static, const N: usize> Parser<T, N>
where
    T: Parse,
{
    async fn valid(&self, text: String) -> Result<bool, Rerror> {
        Ok(text.len() < N && T::parse(&text).is_some())
    }

    async fn same(&self, numbers: [u8; 4]) -> usize {
        numbers.len() + N
    }
}

struct Sink<T>(PhantomData<fn() -> T>);

#[push_handler(name = "Drain")]
impl<T: 'static> Sink<T> {
    fn put(&self, _: String) {}
}

fn main() {
    use teleport::__private::{CallController, PushController};

    assert_eq!(<Parser<i64, 3> as CallController>::ROUTES[0].path, "/parser/valid");
    assert_eq!(<Sink<u8> as PushController>::ROUTES[0].path, "/drain/put");
    assert_eq!(<Sink<u8> as PushController>::NAME, "Drain");
}
