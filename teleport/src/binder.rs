//! Handler arguments that say what they take: parameters with rules, from body, query and swap.
//!
//! `#[derive(Bind)]` writes down what a struct's `#[param]` attributes declare. A handler whose
//! argument is such a struct runs only with values that keep the rules; a call that breaks one is
//! answered 400 `Invalid Parameter`, a push is dropped and logged. Arguments that do not derive it
//! cost nothing.
//!
//! ```
//! use serde::Deserialize;
//! use teleport::{Bind, controller};
//!
//! #[derive(Deserialize, Bind)]
//! struct Order {
//!     #[param(range(1..=100))]
//!     amount: u32,
//!     #[param(len(3..=6), regex = r"^\w+$")]
//!     product: String,
//!     #[serde(skip)]
//!     #[param(query = "_from", nonzero, error(code = 100_002, message = "Say who you are"))]
//!     customer: String,
//! }
//!
//! struct Shop;
//!
//! #[controller]
//! impl Shop {
//!     async fn order(&self, order: Order) -> String {
//!         format!("{} of {} for {}", order.amount, order.product, order.customer)
//!     }
//! }
//!
//! // By hand, wherever a value comes from:
//! let order = Order { amount: 0, product: "pears".into(), customer: "ann".into() };
//! let invalid = order.check().unwrap_err();
//! assert_eq!(invalid.to_string(), "invalid parameter amount: smaller than 1: 0");
//! ```
//!
//! # When it happens
//!
//! After the body was decoded and all hooks for it ran, right before the handler, in the handler's
//! own task or thread: hooks see the argument's message unchecked, and what they put into its
//! [`swap`](Received::swap) is there to be bound. Parameters are bound and checked one by one in
//! the order of the fields; the first that is wrong is the one that is told.

pub(crate) mod ends;
mod invalid;
mod lists;
pub(crate) mod pattern;
pub(crate) mod rules;
pub(crate) mod shown;
mod source;
mod text;

pub use self::invalid::Invalid;
pub use self::rules::{HasLength, HasRange, HasText, HasZero, MayBeMissing, Number};
pub use self::source::Source;
pub use self::text::FromParam;
use crate::context::Received;
use crate::rerror::Rerror;

/// A value whose parameters can be bound and checked; derive it with `#[derive(Bind)]`.
///
/// Lists, maps, boxes and options of such values have it too: each value in them is bound and
/// checked, and the name of a parameter says where it is: `orders[3].amount`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no parameters to check",
    label = "does not implement `Bind`",
    note = "add `#[derive(Bind)]` to `{Self}`, or remove `nested`"
)]
pub trait Bind {
    /// What the parameters are, in order, without those of nested values.
    const PARAMS: &'static [Param] = &[];

    /// Sets the parameters that come from elsewhere than the body, and checks all of them.
    ///
    /// # Errors
    ///
    /// Names the first parameter that is wrong.
    fn bind(&mut self, source: &mut Source<'_>) -> Result<(), Invalid>;

    /// Checks all parameters as they are.
    ///
    /// # Errors
    ///
    /// Names the first parameter that is wrong.
    fn check(&self) -> Result<(), Invalid>;

    /// Makes the error that the caller gets, by the path of the handler, the name of the parameter
    /// and the reason. `#[bind(error = path)]` puts a function of one's own here.
    ///
    /// `None`, as by default, leaves it to [`PeerConfig::bind_error`](crate::PeerConfig::bind_error).
    /// If that is not set either, this is error 400 `Invalid Parameter` with all three in its
    /// reason, byte for byte as the original has it.
    #[must_use]
    fn error(handler: &str, param: &str, reason: &str) -> Option<Rerror>
    where
        Self: Sized,
    {
        let _ = (handler, param, reason);
        None
    }

    /// Binds and checks the value by a message, as is done before a handler: for handlers that
    /// decode their argument themselves.
    ///
    /// # Errors
    ///
    /// What [`error`](Self::error), or else the peer, makes of the first parameter that is wrong.
    fn bind_from(&mut self, message: &mut Received) -> Result<(), Rerror>
    where
        Self: Sized,
    {
        match self.bind(&mut Source::new(message)) {
            Ok(()) => Ok(()),
            Err(invalid) => Err(invalid.told(message, Self::error)),
        }
    }
}

/// What there is to know of a parameter beside its value; see [`Bind::PARAMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Param {
    /// The name, as errors tell it.
    pub name: &'static str,
    /// Where it comes from: `body`, or `query`, `meta` or `swap` with the key there.
    pub source: &'static str,
    /// Its rules as they are written.
    pub rules: &'static str,
    /// Its `desc`, else its doc comment.
    pub desc: &'static str,
}

impl Param {
    #[doc(hidden)]
    #[must_use]
    pub const fn __new(
        name: &'static str,
        source: &'static str,
        rules: &'static str,
        desc: &'static str,
    ) -> Self {
        Self {
            name,
            source,
            rules,
            desc,
        }
    }
}
