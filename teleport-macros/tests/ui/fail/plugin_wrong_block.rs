use teleport::plugin;

struct Wrong;

#[plugin]
impl Wrong {
    fn name(&self) -> &str {
        "wrong"
    }
}

#[plugin]
impl Clone for Wrong {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {
    let _ = Wrong.clone().name();
}
