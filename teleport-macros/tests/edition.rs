//! Routes and hooks that are declared in a crate of an older edition.

use teleport::__private::{CallController as _, CallFunction, Hooks, RoutedFn};
use teleport::Plugin as _;
use teleport_edition_2021::{Hooked, Math, add};

fn path<F: RoutedFn<Args, M>, Args, M: CallFunction>(_: F) -> &'static str {
    M::INFO.path
}

#[test]
fn an_older_edition_has_the_same_routes_and_hooks() {
    assert_eq!(Math::ROUTES.len(), 1);
    assert_eq!(path(add), "/add");
    assert!(Hooked.hooks() == Hooks::POST_READ_CALL_HEADER);
}
