use teleport::{PushCtx, Rerror, push_handler};

type Done = Result<(), Rerror>;

struct Push;

#[push_handler]
impl Push {
    async fn status(&self, arg: String) -> Result<(), Rerror> {
        drop(arg);
        Ok(())
    }

    async fn aliased(&self, _ctx: &mut PushCtx) -> Done {
        Ok(())
    }

    fn plain(&self, _ctx: &PushCtx, _: i64) {}

    async fn unit(&self) -> () {}
}

/// The same type answers calls too.
#[teleport::controller]
impl Push {
    async fn ask(&self) -> i64 {
        1
    }
}

#[push_handler]
async fn note(ctx: &mut PushCtx, arg: String) -> Result<(), Rerror> {
    let _ = (ctx, arg);
    Ok(())
}

fn registers<F: teleport::__private::RoutedFn<A, M>, A, M: teleport::__private::PushFunction>(
    _: F,
) -> &'static str {
    M::INFO.path
}

fn main() {
    use teleport::__private::{CallController, PushController};

    let paths: Vec<_> =
        <Push as PushController>::ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths, ["/push/status", "/push/aliased", "/push/plain", "/push/unit"]);
    assert_eq!(<Push as CallController>::ROUTES.len(), 1);
    assert_eq!(registers(note), "/note");
}
