use teleport::{Peer, Plugin, ReadCtx, Rerror, WriteCtx, plugin};

struct Wrong;

#[plugin]
impl Plugin for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }

    async fn post_new_peer(&self, peer: &Peer) -> Result<(), teleport::Error> {
        Ok(())
    }

    async fn post_read_call_header(&mut self, ctx: ReadCtx) -> Result<(), Rerror> {
        Ok(())
    }

    fn pre_write_call(&self, ctx: &mut WriteCtx) {}

    fn post_write_call(&self) -> Result<(), Rerror> {
        Ok(())
    }

    fn pre_write_push<T>(&self, ctx: &mut WriteCtx, more: T) -> Result<(), Rerror> {
        Ok(())
    }
}

fn registers<T: Plugin>() {}

fn main() {
    registers::<Wrong>();
}
