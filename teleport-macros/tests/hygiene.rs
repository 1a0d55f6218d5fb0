//! The macros' output names nothing that the user's crate could mean otherwise: there is no
//! prelude, the runtime has another name, and the names of the prelude stand for other things.
#![no_implicit_prelude]
#![allow(
    dead_code,
    unreachable_pub,
    non_camel_case_types,
    clippy::needless_pass_by_ref_mut,
    clippy::indexing_slicing,
    reason = "names that are only there to be in the way"
)]

extern crate teleport as renamed;

mod bare_path {
    pub struct Math;

    #[::renamed::controller(crate = ::renamed)]
    impl Math {
        async fn add(
            &self,
            ctx: &mut ::renamed::CallCtx,
            arg: (i64, i64),
        ) -> ::std::result::Result<i64, ::renamed::Rerror> {
            let _ = ctx;
            ::std::result::Result::Ok(arg.0 + arg.1)
        }

        fn nothing(&self) {}
    }

    #[::renamed::push_handler(crate = ::renamed)]
    impl Math {
        async fn note(&self, arg: ::std::string::String) {
            let _ = arg;
        }
    }

    #[::renamed::controller(crate = ::renamed)]
    pub async fn add(
        ctx: &mut ::renamed::CallCtx,
        arg: (i64, i64),
    ) -> ::std::result::Result<i64, ::renamed::Rerror> {
        let _ = ctx;
        ::std::result::Result::Ok(arg.0 + arg.1)
    }

    #[derive(::renamed::Bind)]
    #[bind(crate = ::renamed)]
    pub struct Arg {
        #[param(range(1..=2), nonzero, required, len(1..), regex = "a", nested)]
        #[cfg(any())]
        gone: i64,
        #[param(range(..2.5), nonzero)]
        number: f64,
        #[param(range(-LONGEST..Self::MOST))]
        constant: i64,
        #[param(len(..=LENGTH))]
        list: ::std::vec::Vec<u8>,
        #[param(meta, len(1..=2), required, regex = "a", error(code = 1, message = "a"))]
        #[serde(default)]
        text: ::std::string::String,
        #[param(swap)]
        swapped: ::std::option::Option<i64>,
        #[param(nested)]
        nested: ::std::vec::Vec<Self>,
    }

    const LONGEST: i64 = 9;
    const LENGTH: usize = 9;

    impl Arg {
        const MOST: i64 = 9;
    }

    #[derive(::renamed::Bind)]
    #[bind(crate = ::renamed)]
    pub struct Generic<const N: usize> {
        #[param(len(N..))]
        list: ::std::vec::Vec<u8>,
    }

    pub struct Hooked;

    #[::renamed::plugin(crate = ::renamed)]
    impl ::renamed::Plugin for Hooked {
        fn name(&self) -> &str {
            "hooked"
        }

        async fn post_read_call_header(
            &self,
            ctx: &mut ::renamed::ReadCtx,
        ) -> ::std::result::Result<(), ::renamed::Rerror> {
            let _ = ctx;
            ::std::result::Result::Ok(())
        }

        fn pre_write_call(
            &self,
            ctx: &mut ::renamed::WriteCtx,
        ) -> ::std::result::Result<(), ::renamed::Rerror> {
            let _ = ctx;
            ::std::result::Result::Ok(())
        }
    }
}

mod string_path {
    pub struct Math;

    #[::renamed::controller(crate = "::renamed")]
    impl Math {
        async fn add(&self, arg: ::std::vec::Vec<i64>) -> i64 {
            ::std::iter::Iterator::sum(::std::iter::IntoIterator::into_iter(arg))
        }
    }
}

/// The runtime behind a module of the crate's own.
mod facade {
    pub mod rpc {
        pub use ::renamed::*;
    }

    pub struct Math;

    #[rpc::controller(crate = crate::facade::rpc)]
    impl Math {
        async fn add(&self) {}
    }

    #[rpc::controller(crate = rpc)]
    pub async fn add() {}
}

/// Everything that generated code might have meant.
mod in_the_way {
    pub struct Result;
    pub struct Option;
    pub struct Box;
    pub struct Arc;
    pub struct Vec;
    pub struct String;
    pub struct CallCtx;
    pub struct PushCtx;
    pub struct Registrar;
    pub struct RouteInfo;
    pub struct Routed;
    pub struct Hook;
    pub struct Hooks;
    pub struct str;
    pub struct bool;
    pub struct Ok;
    pub struct Err;
    pub struct Some;
    pub struct None;
    pub trait Future {}
    pub trait Send {}
    pub trait Clone {
        fn clone(&self) {}
    }
    impl<T> Clone for T {}
    pub trait CallController {
        fn register(&self) {}
    }
    impl<T> CallController for T {}
    pub trait Bind {
        fn check(&self) {}
    }
    impl<T> Bind for T {}
    pub struct Source;
    pub struct Invalid;
    pub struct Pattern;
    pub mod teleport {}
    pub mod core {}
    pub mod std {}

    type Text = ::std::primitive::str;

    fn error(_: &Text, _: &Text, why: &Text) -> ::renamed::Rerror {
        ::renamed::Rerror::internal(
            <::std::string::String as ::std::convert::From<&Text>>::from(why),
        )
    }

    #[derive(::renamed::Bind)]
    #[bind(crate = ::renamed, error = error)]
    pub struct Arg {
        #[param(query, len(1..=2), nonzero, regex = "a")]
        #[serde(default)]
        __tp_source: ::std::string::String,
        #[param(range(__TP_CAN_HOLD..))]
        list: ::std::vec::Vec<f64>,
    }

    const __TP_CAN_HOLD: ::std::primitive::f64 = 0.0;

    pub struct Math;

    #[::renamed::controller(crate = ::renamed)]
    impl Math {
        const ROUTES: u8 = 0;

        async fn register(&self, __tp_ctx: &mut ::renamed::CallCtx, __tp_arg: i64) {
            let _ = (__tp_ctx, __tp_arg);
        }

        async fn clone(&self, __tp_out: i64) -> i64 {
            __tp_out
        }
    }

    #[::renamed::controller(crate = ::renamed)]
    pub async fn call_handler(__tp_r: i64) -> i64 {
        __tp_r
    }

    #[::renamed::push_handler(crate = ::renamed)]
    pub async fn push(__tp_ctx: &::renamed::PushCtx) {
        let _ = __tp_ctx;
    }
}

fn call_path<F, Args, M>(_: F) -> &'static str
where
    F: ::renamed::__private::RoutedFn<Args, M>,
    M: ::renamed::__private::CallFunction,
{
    M::INFO.path
}

fn first_path<T: ::renamed::__private::CallController>() -> &'static str {
    T::ROUTES[0].path
}

#[test]
fn routes_are_there_under_every_name_of_the_runtime() {
    ::std::assert_eq!(first_path::<bare_path::Math>(), "/math/add");
    ::std::assert_eq!(first_path::<string_path::Math>(), "/math/add");
    ::std::assert_eq!(first_path::<facade::Math>(), "/math/add");
    ::std::assert_eq!(first_path::<in_the_way::Math>(), "/math/register");
    ::std::assert_eq!(call_path(bare_path::add), "/add");
    ::std::assert_eq!(call_path(facade::add), "/add");
    ::std::assert_eq!(call_path(in_the_way::call_handler), "/call/handler");
}
