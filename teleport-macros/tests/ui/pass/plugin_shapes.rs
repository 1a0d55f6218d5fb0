use teleport::__private::Hooks;
use teleport::{
    Peer, Plugin, PreCtx, PreSession, ReadCtx, Rerror, Session, WriteCtx, plugin,
};

struct Bare;

#[plugin]
impl Plugin for Bare {
    fn name(&self) -> &str {
        "bare"
    }
}

struct Full<T>(T);

#[plugin]
impl<T> Plugin for Full<T>
where
    T: AsRef<str> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        self.0.as_ref()
    }

    fn post_new_peer(&self, _peer: &Peer) -> Result<(), teleport::Error> {
        Ok(())
    }

    async fn post_accept(&self, _session: &mut PreSession) -> Result<(), Rerror> {
        later().await?;
        if self.name().is_empty() {
            return Ok(());
        }
        later().await
    }

    fn post_disconnect(&self, _: &Session) -> Result<(), Rerror> {
        Ok(())
    }

    async fn post_read_call_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        change(ctx);
        later().await?;
        change(ctx);
        Ok(())
    }

    fn pre_read_header(&self, ctx: &mut PreCtx) -> Result<(), Rerror> {
        let name = self.0.as_ref();
        now(name)?;
        let _ = ctx;
        Ok(())
    }

    #[cfg(any())]
    fn pre_write_call(&self, ctx: &mut NoSuchType) -> Result<(), Rerror> {
        Ok(())
    }

    #[cfg(all())]
    fn pre_write_push(&self, mut _ctx: &mut WriteCtx) -> Result<(), Rerror> {
        Ok(())
    }
}

fn change(_: &mut ReadCtx) {}

fn now(_: &str) -> Result<(), Rerror> {
    Ok(())
}

async fn later() -> Result<(), Rerror> {
    Ok(())
}

fn main() {
    assert!(Bare.hooks() == Hooks::NONE);
    let expected = Hooks::POST_NEW_PEER
        .union(Hooks::POST_ACCEPT)
        .union(Hooks::POST_DISCONNECT)
        .union(Hooks::POST_READ_CALL_HEADER)
        .union(Hooks::PRE_READ_HEADER)
        .union(Hooks::PRE_WRITE_PUSH);
    assert!(Full("full").hooks() == expected);
}
