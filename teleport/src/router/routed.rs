//! Functions that carry their route in what they return.
//!
//! `#[controller]` and `#[push_handler]` turn an `async fn` into a plain function that returns a
//! [`Routed`] future. The function stays callable, and whoever is handed it can tell its route.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

pin_project! {
    /// The future of an annotated function: the function's own future, with its route `M` as a type.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct Routed<F, M> {
        #[pin]
        future: F,
        // A function pointer, so that the route takes no part in Send, Sync and drop checks.
        route: PhantomData<fn() -> M>,
    }
}

impl<F, M> Routed<F, M> {
    /// Lets a future carry the route `M`.
    pub const fn new(future: F) -> Self {
        Self {
            future,
            route: PhantomData,
        }
    }

    /// The function's own future.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future, M> Future for Routed<F, M> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx)
    }
}

impl<F, M> fmt::Debug for Routed<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Routed")
            .field(&std::any::type_name::<M>())
            .finish()
    }
}

/// A function annotated with `#[controller]` or `#[push_handler]`.
///
/// `Args` are its parameters as a tuple and `M` is its route; both are inferred from the function's
/// name. Every function that returns a [`Routed`] has it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function with a route",
    label = "not annotated with `#[controller]` or `#[push_handler]`",
    note = "annotate an `async fn`, and name it without calling it: `route_call_fn(add)`"
)]
pub trait RoutedFn<Args, M> {}

macro_rules! routed_fn {
    ($($arg:ident),*) => {
        impl<T, F, M, $($arg),*> RoutedFn<($($arg,)*), M> for T
        where
            T: FnOnce($($arg),*) -> Routed<F, M>,
        {
        }
    };
}

routed_fn!();
routed_fn!(A);
routed_fn!(A, B);

#[cfg(test)]
mod tests {
    use super::*;

    struct Route;
    struct Ctx(u8);

    fn none() -> Routed<impl Future<Output = u8>, Route> {
        Routed::new(async { 1 })
    }

    fn arg(arg: u8) -> Routed<impl Future<Output = u8>, Route> {
        Routed::new(async move { arg })
    }

    fn ctx(ctx: &mut Ctx) -> Routed<impl Future<Output = ()> + '_, Route> {
        Routed::new(async move { ctx.0 += 1 })
    }

    fn ctx_and_arg(ctx: &mut Ctx, _: Vec<u8>) -> Routed<impl Future<Output = ()> + '_, Route> {
        Routed::new(async move { ctx.0 += 1 })
    }

    fn route_of<T: RoutedFn<Args, M>, Args, M>(_: T) -> &'static str {
        std::any::type_name::<M>()
    }

    #[test]
    fn a_function_tells_its_route_whatever_its_parameters() {
        let name = std::any::type_name::<Route>();
        assert_eq!(route_of(none), name);
        assert_eq!(route_of(arg), name);
        assert_eq!(route_of(ctx), name);
        assert_eq!(route_of(ctx_and_arg), name);
    }

    #[tokio::test]
    async fn the_function_stays_callable() {
        assert_eq!(none().await, 1);
        assert_eq!(arg(2).await, 2);
        let mut lent = Ctx(0);
        ctx(&mut lent).await;
        ctx_and_arg(&mut lent, Vec::new()).await;
        assert_eq!(lent.0, 2);
    }
}
