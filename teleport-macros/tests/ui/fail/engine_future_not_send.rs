use std::rc::Rc;

use teleport::{CallCtx, Plugin, ReadCtx, Rerror, controller, plugin};

struct Math;

#[controller]
impl Math {
    async fn add(&self, _ctx: &mut CallCtx) -> i64 {
        let kept = Rc::new(1);
        wait().await;
        *kept
    }

    async fn right(&self) {}
}

#[controller]
async fn sub(arg: i64) -> i64 {
    let kept = Rc::new(arg);
    wait().await;
    *kept
}

struct Slow;

#[plugin]
impl Plugin for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn post_read_call_header(&self, _ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let kept = Rc::new(1);
        wait().await;
        drop(kept);
        Ok(())
    }
}

async fn wait() {}

fn main() {}
