struct Math;

impl Math {
    #[teleport::route("/add")]
    async fn add(&self) {}
}

fn main() {
    let _ = Math.add();
}
