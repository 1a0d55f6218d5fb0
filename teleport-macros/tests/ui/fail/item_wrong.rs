use teleport::{controller, plugin, push_handler};

#[controller]
struct Math;

#[push_handler(name = "x")]
trait Push {}

#[plugin]
struct IgnoreCase;

fn main() {
    let _ = (Math, IgnoreCase);
}
