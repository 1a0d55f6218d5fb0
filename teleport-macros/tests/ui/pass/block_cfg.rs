use teleport::controller;

struct System;

#[controller]
impl System {
    #[cfg(unix)]
    async fn name(&self) -> &'static str {
        "unix"
    }

    #[cfg(not(unix))]
    async fn name(&self) -> &'static str {
        "other"
    }

    #[cfg(any())]
    async fn never(&self, arg: NoSuchType) {}

    #[deprecated]
    async fn old(&self) {}
}

struct Gone;

#[cfg(any())]
#[controller]
impl Gone {
    async fn never(&self, arg: NoSuchType) {}
}

#[controller]
#[cfg(any())]
impl Gone {
    async fn never(&self, arg: NoSuchType) {}
}

fn main() {
    use teleport::__private::CallController;

    let paths: Vec<_> = System::ROUTES.iter().map(|route| route.path).collect();
    assert_eq!(paths, ["/system/name", "/system/old"]);
    let _ = Gone;
}
