use teleport::{CallCtx, Rerror, controller};

#[controller]
async fn none() -> i64 {
    1
}

#[controller]
pub(crate) async fn ctx_only(ctx: &mut CallCtx) -> Result<(), Rerror> {
    let _ = ctx.query("a");
    Ok(())
}

#[controller(prefix = "/v1")]
#[route(spawn)]
async fn arg_only(mut arg: Vec<i64>) -> Result<i64, Rerror> {
    arg.push(none().await);
    check(arg.len())?;
    if arg.is_empty() {
        return Ok(0);
    }
    Ok(arg.iter().sum())
}

#[controller]
#[route("/both/of/them")]
async fn both<'a>(ctx: &'a mut CallCtx, (a, b): (i64, i64)) -> i64 {
    let _ = ctx;
    a + b
}

/// The parameter is called like the function.
#[controller]
async fn same(same: i64) -> i64 {
    same
}

#[controller]
async fn shared(_: &CallCtx, _: String) {}

#[cfg(any())]
#[controller]
async fn gone(arg: NoSuchType) {}

#[controller]
#[cfg(any())]
async fn gone_too(arg: NoSuchType) {}

fn check(len: usize) -> Result<(), Rerror> {
    let _ = len;
    Ok(())
}

fn registers<F: teleport::__private::RoutedFn<A, M>, A, M: teleport::__private::CallFunction>(
    _: F,
) -> &'static str {
    M::INFO.path
}

fn main() {
    assert_eq!(registers(none), "/none");
    assert_eq!(registers(ctx_only), "/ctx/only");
    assert_eq!(registers(arg_only), "/v1/arg/only");
    assert_eq!(registers(both), "/both/of/them");
    assert_eq!(registers(same), "/same");
    assert_eq!(registers(shared), "/shared");

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(arg_only(vec![1, 2]).await.ok(), Some(4));
        assert_eq!(tokio::spawn(same(5)).await.unwrap(), 5);
    });
}
