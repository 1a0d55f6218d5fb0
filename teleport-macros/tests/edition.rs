//! Routes and hooks that are declared in a crate of an older edition.

use teleport::__private::{CallController as _, CallFunction, Hooks, RoutedFn};
use teleport::Bind as _;
use teleport::Plugin as _;
use teleport::binder::Invalid;
use teleport_edition_2021::{Hooked, Math, Order, add};

fn path<F: RoutedFn<Args, M>, Args, M: CallFunction>(_: F) -> &'static str {
    M::INFO.path
}

#[test]
fn an_older_edition_has_the_same_routes_and_hooks() {
    assert_eq!(Math::ROUTES.len(), 1);
    assert_eq!(path(add), "/add");
    assert!(Hooked.hooks() == Hooks::POST_READ_CALL_HEADER);
}

#[test]
fn an_older_edition_has_the_same_rules() {
    let order = |amount, number: &str| Order {
        amount,
        number: number.to_owned(),
    };
    assert!(order(5, "123").check().is_ok());
    let invalid = order(5, "12a").check().err();
    let reason = invalid.as_ref().map(Invalid::reason);
    assert_eq!(reason, Some(r"not match ^\d+$: 12a"));
}
