use teleport::__private::Hooks;
use teleport::{Plugin, plugin};

struct Wrong;

#[plugin(crat = teleport)]
impl Plugin for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    fn hooks(&self) -> Hooks {
        Hooks::NONE
    }
}

fn main() {}
