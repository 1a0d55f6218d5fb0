//! The step between decoding and the handler, for macro output: arguments that implement
//! [`Bind`](crate::Bind) are bound and checked, all others pass without a trace.

/// Binds and checks an argument: `bind_arg!(T, &mut arg, &mut ctx)`.
#[cfg(feature = "binder")]
#[doc(hidden)]
#[macro_export]
macro_rules! __tp_bind_arg {
    ($ty:ty, $arg:expr, $ctx:expr $(,)?) => {{
        use $crate::__private::binder::PickBind as _;
        (&&$crate::__private::binder::BindProbe::<$ty>::NEW).__tp_bind($arg, $ctx)
    }};
}

/// Lets an argument pass: nothing can be bound in this build.
#[cfg(not(feature = "binder"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __tp_bind_arg {
    ($ty:ty, $arg:expr, $ctx:expr $(,)?) => {{
        let _: (&mut $ty, &mut $crate::context::Received) = ($arg, $ctx);
        $crate::__private::body::Result::<(), $crate::__private::Rerror>::Ok(())
    }};
}

#[cfg(feature = "binder")]
pub use self::probe::{BindProbe, PickBind};

#[cfg(feature = "binder")]
mod probe {
    use std::fmt;
    use std::marker::PhantomData;

    use crate::binder::Bind;
    use crate::context::Received;
    use crate::rerror::Rerror;

    /// Asks whether a type has parameters to check.
    pub struct BindProbe<T>(PhantomData<fn() -> T>);

    impl<T> BindProbe<T> {
        /// The question about `T`.
        pub const NEW: Self = Self(PhantomData);
    }

    impl<T> fmt::Debug for BindProbe<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("BindProbe")
        }
    }

    /// Does what there is to do for a type.
    pub trait PickBind<T> {
        /// Binds and checks, or nothing.
        #[allow(clippy::missing_errors_doc, reason = "for macro output")]
        fn __tp_bind(self, arg: &mut T, message: &mut Received) -> Result<(), Rerror>;
    }

    impl<T: Bind> PickBind<T> for &&BindProbe<T> {
        #[inline]
        fn __tp_bind(self, arg: &mut T, message: &mut Received) -> Result<(), Rerror> {
            arg.bind_from(message)
        }
    }

    impl<T> PickBind<T> for &BindProbe<T> {
        #[inline(always)]
        fn __tp_bind(self, _: &mut T, _: &mut Received) -> Result<(), Rerror> {
            Ok(())
        }
    }
}
