//! The attributes on items that a macro of the user's makes.

use teleport::{CallCtx, controller};

macro_rules! make {
    ($name:ident, $method:ident, $ctx:ty, $arg:ty, $out:ty, $path:literal) => {
        struct $name;

        #[controller]
        impl $name {
            async fn $method(&self, _: &mut $ctx, arg: $arg) -> $out {
                arg
            }

            #[route($path)]
            async fn other(&self) {}
        }
    };
}

make!(Made, echo, CallCtx, Vec<i64>, Vec<i64>, "/made/by/macro");

fn main() {
    use teleport::__private::CallController;

    assert_eq!(Made::ROUTES[0].path, "/made/echo");
    assert_eq!(Made::ROUTES[0].arg, "Vec<i64>");
    assert_eq!(Made::ROUTES[1].path, "/made/by/macro");
}
