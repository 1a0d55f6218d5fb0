use teleport::{Plugin, ReadCtx, Rerror, plugin};

struct IgnoreCase;

#[plugin]
impl Plugin for IgnoreCase {
    fn name(&self) -> &str {
        "ignore_case"
    }

    async fn post_read_call_headers(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        Ok(())
    }

    fn helper(&self) {}
}

fn registers<T: Plugin>() {}

fn main() {
    registers::<IgnoreCase>();
}
