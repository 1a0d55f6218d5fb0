//! A controller that is declared in a function, and two of one name in two modules.
#![deny(warnings)]

mod a {
    pub struct Math;

    #[teleport::controller]
    impl Math {
        async fn add(&self) {}
    }
}

mod b {
    pub struct Math;

    #[teleport::controller]
    impl super::b::Math {
        async fn add(&self) {}

        async fn get_user(&self) {}

        #[allow(non_snake_case)]
        async fn getUser(&self) {}
    }
}

fn main() {
    use teleport::__private::CallController;

    struct Local;

    #[teleport::controller]
    impl Local {
        async fn add(&self) {}
    }

    #[teleport::controller]
    async fn local(arg: i64) -> i64 {
        arg
    }

    assert_eq!(Local::ROUTES[0].path, "/local/add");
    assert_eq!(a::Math::ROUTES[0].path, b::Math::ROUTES[0].path);
    assert_eq!(b::Math::ROUTES[1].path, "/math/get/user");
    assert_eq!(b::Math::ROUTES[2].path, "/math/get_user");
    let _ = (Local, a::Math, b::Math, local(1));
}
