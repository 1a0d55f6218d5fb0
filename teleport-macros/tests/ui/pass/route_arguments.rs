use std::time::Duration;

use teleport::{OnCancel, controller};
use teleport::__private::{CallController, RouteInfo};

struct Aa_Bb;

#[controller(prefix = "V1/api/", underscores = "keep")]
impl Aa_Bb {
    async fn get_user(&self) {}

    #[route("outright/Path")]
    async fn literal(&self) {}

    #[route("/")]
    async fn root(&self) {}

    #[route(name = "GetThat", spawn)]
    async fn named(&self) {}

    #[route(blocking)]
    fn slow(&self, _: Vec<u8>) -> Result<String, teleport::Rerror> {
        Ok(String::new())
    }

    /// Says what.
    ///
    /// And why.
    #[teleport::route("/documented")]
    async fn documented(&self) {}
}

struct Split;

#[controller(underscores = "split", name = "ABC_XYZ", age = "1.5s", on_cancel = "abort")]
impl Split {
    async fn get__user(&self) {}

    #[route(age = "1min 30s", on_cancel = "finish")]
    async fn long(&self) {}

    #[route(age = "none")]
    async fn endless(&self) {}
}

fn find(method: &str) -> &'static RouteInfo {
    Aa_Bb::ROUTES.iter().find(|route| route.method == method).unwrap()
}

fn main() {
    assert_eq!(find("get_user").path, "/V1/api/aa_bb/get_user");
    assert_eq!(find("get_user").method_path, "/get_user");
    assert_eq!(find("literal").path, "/outright/Path");
    assert_eq!(find("literal").method_path, "/outright/Path");
    assert_eq!(find("root").path, "/");
    assert_eq!(find("named").path, "/V1/api/aa_bb/get_that");
    assert!(find("named").spawn && !find("named").blocking);
    let slow = find("slow");
    assert!(slow.blocking && !slow.spawn);
    assert_eq!((slow.arg, slow.reply), ("Vec<u8>", "Result<String, teleport::Rerror>"));
    assert_eq!((find("root").arg, find("root").reply), ("", "()"));
    assert_eq!(find("documented").doc, "Says what.\n\nAnd why.");
    assert_eq!(Split::ROUTES[0].path, "/abc/xyz/get_user");
    assert_eq!((find("root").age, find("root").on_cancel), (None, None));
    let limits = Split::ROUTES.iter().map(|route| (route.age, route.on_cancel));
    let (aborted, finished) = (Some(OnCancel::Abort), Some(OnCancel::Finish));
    assert!(limits.eq([
        (Some(Duration::from_millis(1500)), aborted),
        (Some(Duration::from_secs(90)), finished),
        (Some(Duration::ZERO), aborted),
    ]));
}
