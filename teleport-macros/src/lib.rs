//! The attribute macros of [teleport](https://docs.rs/teleport), which re-exports them.
//!
//! | attribute | on | gives |
//! |---|---|---|
//! | [`macro@controller`] | an `impl` block or an `async fn` | routes that answer calls |
//! | [`macro@push_handler`] | an `impl` block or an `async fn` | routes that take pushes |
//! | [`macro@route`] | a handler of these | its path, and where it runs |
//! | [`macro@plugin`] | `impl Plugin for ..` | hooks, and the list of them |
//! | `#[derive(Bind)]` | a struct | rules for the parameters in a handler's argument |
//!
//! They read like a compiler: `parse` knows the grammar of the arguments, `model` checks what they
//! and the item mean, `expand` writes the result down. All problems of one item are reported
//! together, and what is right of it is expanded all the same, so that no follow-up errors appear.
#![forbid(unsafe_code)]

mod expand;
mod item;
mod model;
mod parse;
mod uri;

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as TokenStream2};
use quote::quote;
use syn::Item;

use crate::model::{Block, Function, Kind, Plugin};
use crate::parse::Problems;

/// Makes the methods of an `impl` block, or an `async fn`, answer calls.
///
/// Names map to paths: `_` starts a new segment, a capital inside a word gets an underscore, and
/// `__` stands for an underscore, so that `get_user` is `/get/user`, and `GetUser` and `get__user`
/// are `/get_user`. A method's path is that of its type with its own behind it: `Math::add` is
/// `/math/add`. `underscores = "keep"` leaves underscores alone, and `#[route("/path")]` on a method
/// says the whole path outright.
///
/// | name | path | | name | path |
/// |---|---|---|---|---|
/// | `AaBb` | `/aa_bb` | | `aa__bb` | `/aa_bb` |
/// | `Aa_Bb` | `/aa/bb` | | `ABC_XYZ` | `/abc/xyz` |
/// | `aa_bb` | `/aa/bb` | | `ABcXYz` | `/abc_xyz` |
/// | `Aa__Bb` | `/aa_bb` | | `ABC__XYZ` | `/abc_xyz` |
///
/// # On an `impl` block
///
/// Every method with `&self` is a route, whatever its visibility, `async` or not. It takes its
/// context first and one argument, both as wanted; it returns `Result<T, E>` where `E: Into<Rerror>`,
/// or `T`. The block goes on as it is written, so its methods stay callable.
///
/// ```
/// use teleport::{CallCtx, Rerror, controller};
///
/// struct Math;
///
/// #[controller]
/// impl Math {
///     /// Adds the numbers up.
///     async fn add(&self, ctx: &mut CallCtx, arg: Vec<i64>) -> Result<i64, Rerror> {
///         println!("asked by {:?}", ctx.query("author"));
///         Ok(arg.iter().sum())
///     }
///
///     fn zero(&self) -> i64 {
///         0
///     }
///
///     #[route(skip)]
///     fn new() -> Self {
///         Self
///     }
/// }
/// ```
///
/// A peer registers it with `route_call(Math)`. Handlers run at the same time, hence `&self`: state
/// is kept in a `Mutex` or an atomic. Two methods of one path do not compile, nor does a second
/// block of one type: what is left out here goes into a plain `impl` beside it.
///
/// # On a function
///
/// The function stays callable, and a peer registers it by name: `route_call_fn(add)`.
///
/// ```
/// # use teleport::{Rerror, controller};
/// /// Answers calls to `/add`.
/// #[controller]
/// async fn add(arg: Vec<i64>) -> Result<i64, Rerror> {
///     Ok(arg.iter().sum())
/// }
///
/// # async fn used() -> Result<(), Rerror> {
/// let sum = add(vec![1, 2, 3]).await?;
/// # let _ = sum; Ok(()) }
/// ```
///
/// # Arguments
///
/// | argument | what it does | default |
/// |---|---|---|
/// | `name = "Calc"` | stands in for the name of the type; not for a function | the type's name |
/// | `prefix = "/v1"` | goes in front of the paths, as it is | none |
/// | `underscores = "keep"` | leaves `_` in names alone: `get_user` is `/get_user` | `"split"` |
/// | `age = "2s"` | how long each of its handlers may take, from the first hook to the reply | the session's |
/// | `on_cancel = "abort"` | what becomes of one whose time is over; see [`macro@route`] | the peer's |
/// | `crate = path` | where teleport is found, when it has another name | `::teleport` |
///
/// What concerns one handler goes into [`macro@route`].
#[proc_macro_attribute]
pub fn controller(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(args, item, |args, item| handlers(Kind::Call, args, item))
}

/// Makes the methods of an `impl` block, or an `async fn`, take pushes.
///
/// Names map to paths as in [`macro@controller`]: `get_user` is `/get/user`, `GetUser` is
/// `/get_user`, and `Push::status` is `/push/status`. The arguments and all else are as there too,
/// but for two things: the context is a `PushCtx`, and since a push has no reply, a handler returns
/// nothing or `Result<(), E>` where `E: Into<Rerror>`. Its error is logged.
///
/// ```
/// use teleport::{PushCtx, Rerror, push_handler};
///
/// struct Push;
///
/// #[push_handler]
/// impl Push {
///     async fn status(&self, arg: String) -> Result<(), Rerror> {
///         println!("{arg}");
///         Ok(())
///     }
/// }
///
/// #[push_handler]
/// async fn note(ctx: &mut PushCtx, arg: String) {
///     println!("{:?} notes {arg}", ctx.query("author"));
/// }
/// ```
///
/// A peer registers them with `route_push(Push)` and `route_push_fn(note)`.
#[proc_macro_attribute]
pub fn push_handler(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(args, item, |args, item| handlers(Kind::Push, args, item))
}

/// Says more of one handler of a [`macro@controller`] or [`macro@push_handler`].
///
/// On a method of an annotated block, or on a function below its attribute. It is a part of these
/// attributes and need not be imported.
///
/// | argument | what it does |
/// |---|---|
/// | `"/path"` | is the whole path, outright: no name and no prefix has a part in it |
/// | `name = "add"` | stands in for the name of the method |
/// | `skip` | leaves the method out; due on functions without `&self` |
/// | `spawn` | runs the handler in a task of its own: for long work in async code |
/// | `blocking` | runs it on a thread that may block: for files, locks and long computation |
/// | `age = "200ms"` | how long it may take, in place of the context age of the session: units are `ns`, `us`, `ms`, `s`, `min` and `h`, and `"none"` is no limit |
/// | `on_cancel = "abort"` | it is dropped where it waits when its time is over or its caller gives up; `"notify"`: it goes on and `ctx.cancelled()` tells it; `"finish"`: it goes on and is told nothing |
///
/// ```
/// # use teleport::controller;
/// # struct Math;
/// #[controller]
/// impl Math {
///     #[route("/v2/sum", spawn)]
///     async fn add(&self, arg: Vec<i64>) -> i64 {
///         arg.iter().sum()
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn route(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(args, item, |_, item| misplaced_route(&item))
}

/// Writes down the hooks of a plugin from the methods that are there.
///
/// Each hook is named by its method, and `Plugin` lists them. A hook of a message or a connection
/// may be an `async fn`, which may wait, or a plain `fn`, which costs no allocation. Either way it
/// takes `&self` and what it is lent, and returns `Result<(), Rerror>`. The hooks of a peer's life
/// are plain functions. `hooks` is written for you, so that hooks that are not there cost nothing.
///
/// ```
/// use teleport::{Plugin, ReadCtx, Rerror, plugin};
///
/// struct Audit;
///
/// #[plugin]
/// impl Plugin for Audit {
///     fn name(&self) -> &str {
///         "audit"
///     }
///
///     fn post_read_push_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
///         Ok(())
///     }
///
///     async fn post_read_call_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
///         tokio::task::yield_now().await;
///         Ok(())
///     }
/// }
/// ```
///
/// `#[plugin(crate = path)]` says where teleport is found, when it has another name.
#[proc_macro_attribute]
pub fn plugin(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_with(args, item, plugins)
}

/// Lets the parameters of a handler's argument come from body, query, metadata and swap, by rules.
///
/// A handler that takes such a struct runs only when all rules hold. Else a call is answered with
/// error 400 `Invalid Parameter`, whose reason names handler, parameter and rule, and a push is
/// dropped and logged. An `Option` that is `None` keeps all rules but `required` and `nonzero`.
/// Rules on a list go for each value in it, but for `len`, `nonzero` and `required`.
///
/// | rule | on | holds when |
/// |---|---|---|
/// | `range(1..=100)` | numbers | the number is in the range; `1..`, `..100`, `0.5..=1.5`, `7` and `MIN..=MAX` are ranges too |
/// | `len(3..=6)` | texts, lists, maps | there are so many characters or items |
/// | `nonzero` | all of these, `bool`, `char` | it is not 0, false, empty or `None` |
/// | `required` | options, texts, lists, maps | it is there and not empty |
/// | `regex = r"^\d+$"` | texts | the pattern is found, in time in proportion to the text; `\d`, `\w`, `\s` and `\b` mean ASCII, as in Go |
/// | `nested` | structs that derive `Bind`, and lists, maps and options of them | the rules in there hold |
///
/// | source | where the value comes from |
/// |---|---|
/// | `query`, `query = "key"` | the query of the uri |
/// | `meta`, `meta = "key"` | the metadata of the message |
/// | `swap`, `swap = "key"` | the [`swap`](https://docs.rs/teleport/latest/teleport/swap) of the message |
///
/// A parameter without a source comes from the body alone. One that its source does not have keeps
/// the value that it has from the body. So the body need not have it: say `#[serde(default)]`, or
/// `#[serde(skip)]` for what the body must not set.
///
/// | more | |
/// |---|---|
/// | `rename = "name"` | the name in errors; by default the key in the source, else the field's name |
/// | `desc = ".."` | what `PARAMS` tells of it; by default the doc comment |
/// | `error(code = 100_002, message = "..")` | the code, the message or both when this parameter is wrong |
///
/// The ends of ranges and lengths are numbers, or constants whose numbers the compiler knows; ends
/// that nothing is between are compile errors.
///
/// On the struct, `#[bind(error = path)]` names a function that makes the error of handler,
/// parameter and reason, and `#[bind(crate = path)]` says where teleport is found.
///
/// ```
/// use serde::Deserialize;
/// use teleport::{Bind, Rerror};
///
/// fn wrong(handler: &str, param: &str, reason: &str) -> Rerror {
///     Rerror::new(7, "No", format!("{param} of {handler} is wrong: {reason}"))
/// }
///
/// #[derive(Deserialize, Bind)]
/// struct Line {
///     #[param(range(1..))]
///     amount: u32,
/// }
///
/// #[derive(Deserialize, Bind)]
/// #[bind(error = wrong)]
/// struct Order {
///     #[param(nested, len(1..=10))]
///     lines: Vec<Line>,
///     #[serde(skip)]
///     #[param(query, nonzero)]
///     customer: String,
/// }
/// ```
#[cfg(feature = "binder")]
#[proc_macro_derive(Bind, attributes(param, bind, serde))]
pub fn bind(item: TokenStream) -> TokenStream {
    binds(item.into()).into()
}

/// Says that the feature `binder` is missing.
#[cfg(not(feature = "binder"))]
#[doc(hidden)]
#[proc_macro_derive(Bind, attributes(param, bind, serde))]
pub fn bind(_: TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    problems.at_span(
        Span::call_site(),
        "#[derive(Bind)] needs the feature `binder` of teleport; write \
         `features = [\"binder\"]` behind it in Cargo.toml",
    );
    problems.to_compile_error().into()
}

/// The one way from the compiler's tokens to ours and back.
fn expand_with(
    args: TokenStream,
    item: TokenStream,
    expand: impl FnOnce(TokenStream2, TokenStream2) -> TokenStream2,
) -> TokenStream {
    expand(args.into(), item.into()).into()
}

/// `#[controller]` and `#[push_handler]`.
fn handlers(kind: Kind, args: TokenStream2, item: TokenStream2) -> TokenStream2 {
    let mut problems = Problems::default();
    let tokens = match parsed(&item, &mut problems) {
        Some(Item::Impl(item)) => expand::block(&Block::check(kind, args, item, &mut problems)),
        Some(Item::Fn(item)) => expand::function(&Function::check(kind, args, item, &mut problems)),
        Some(_) => {
            problems.at_span(
                Span::call_site(),
                format!(
                    "#[{}] goes on an `impl` block or on an `async fn`",
                    kind.attribute()
                ),
            );
            item
        }
        None => item,
    };
    with_errors(&tokens, &problems)
}

/// `#[plugin]`.
fn plugins(args: TokenStream2, item: TokenStream2) -> TokenStream2 {
    let mut problems = Problems::default();
    let tokens = match parsed(&item, &mut problems) {
        Some(Item::Impl(item)) => expand::plugin(&Plugin::check(args, item, &mut problems)),
        Some(_) => {
            problems.at_span(Span::call_site(), "#[plugin] goes on `impl Plugin for ..`");
            item
        }
        None => item,
    };
    with_errors(&tokens, &problems)
}

/// `#[derive(Bind)]`.
#[cfg(feature = "binder")]
fn binds(item: TokenStream2) -> TokenStream2 {
    let mut problems = Problems::default();
    let tokens = match syn::parse2(item) {
        Ok(item) => expand::bind(&model::Bind::check(item, &mut problems)),
        Err(error) => {
            problems.add(error);
            TokenStream2::new()
        }
    };
    with_errors(&tokens, &problems)
}

/// `#[route]` where no attribute above it has taken it away.
fn misplaced_route(item: &TokenStream2) -> TokenStream2 {
    let mut problems = Problems::default();
    problems.at_span(
        Span::call_site(),
        "#[route] goes on a method of a `#[controller]` or `#[push_handler]` block, or below that \
         attribute on a function",
    );
    with_errors(item, &problems)
}

/// The item, unless it cannot be read. It is written out unread then, for rustc to say why.
fn parsed(item: &TokenStream2, problems: &mut Problems) -> Option<Item> {
    item::read(item.clone())
        .map_err(|error| problems.add(error))
        .ok()
}

fn with_errors(tokens: &TokenStream2, problems: &Problems) -> TokenStream2 {
    let errors = problems.to_compile_error();
    quote!(#tokens #errors)
}
