//! What the server does about calls.

use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use teleport::message::Uri;
use teleport::plugins::secure::SECURE;
use teleport::router::UnknownCallHandler;
use teleport::session::Request;
use teleport::{Caller, Raw, Rerror, Session, UnknownCallCtx};

/// Answers every call.
#[derive(Debug)]
pub(super) struct Routes {
    /// Whether what is encrypted is understood.
    pub(super) secure: bool,
}

impl UnknownCallHandler for Routes {
    type Reply = Raw<Bytes>;

    async fn handle<'a>(&'a self, ctx: &'a mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
        match ctx.path() {
            "/error" => return Err(error(ctx)?),
            "/panic" => panic(),
            "/sleep" => {
                let ms = number(ctx, "ms")?;
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            "/push-me" => push_me(ctx, self.request(ctx)?).await?,
            "/broadcast" => broadcast(ctx, self.request(ctx)?).await?,
            "/call-me" => return call_me(ctx, self.request(ctx)?).await,
            _ => {}
        }
        Ok(Raw(ctx.body().clone()))
    }
}

impl Routes {
    /// The call's own body, codec and pipe, for the uri that it names; encrypted if the call was.
    fn request(&self, ctx: &UnknownCallCtx) -> Result<Request, Rerror> {
        let uri = param(ctx, "uri")?;
        if uri.is_empty() {
            return Err(Rerror::bad_message("the parameter uri is empty"));
        }
        let mut request = Request::new(Uri::new(uri), ctx.body_codec(), ctx.body().clone());
        request.xfer = ctx.xfer().ids().to_vec();
        if self.secure && ctx.meta().get(SECURE) == Some("true") {
            request.meta.set(SECURE, "true");
        }
        Ok(request)
    }
}

fn error(ctx: &UnknownCallCtx) -> Result<Rerror, Rerror> {
    let code = number(ctx, "code")?;
    let message = text(ctx, "message")?.to_owned();
    let reason = text(ctx, "reason")?.to_owned();
    Ok(Rerror::new(code, message, reason))
}

#[allow(clippy::panic, reason = "it was asked for")]
fn panic() -> ! {
    panic!("this handler was asked to panic")
}

async fn push_me(ctx: &UnknownCallCtx, request: Request) -> Result<(), Rerror> {
    let count: u64 = match ctx.query("count") {
        None if ctx.uri().query_bytes("count").is_none() => 1,
        _ => number(ctx, "count")?,
    };
    for _ in 0..count {
        // A caller that reads fast enough would never let anybody else in.
        tokio::task::coop::consume_budget().await;
        ctx.session().push_raw(request.clone()).await?;
    }
    Ok(())
}

async fn broadcast(ctx: &UnknownCallCtx, request: Request) -> Result<(), Rerror> {
    let caller = ctx.session().id();
    let full = ctx.peer().config().queue_limit;
    for session in ctx.peer().sessions().all() {
        if session.id() == caller {
            continue;
        }
        if let Err(reason) = push_to(&session, &request, full).await {
            tracing::warn!(remote = %session.remote_address(), reason, "left out of a broadcast");
        }
    }
    Ok(())
}

/// Pushes to one of many, who must not hold up the others.
async fn push_to(session: &Session, request: &Request, full: usize) -> Result<(), String> {
    if session.queued_bytes() >= full {
        return Err("it does not read what is queued for it".to_owned());
    }
    session
        .push_raw(request.clone())
        .await
        .map_err(|error| error.to_string())
}

async fn call_me(ctx: &mut UnknownCallCtx, request: Request) -> Result<Raw<Bytes>, Rerror> {
    let reply = ctx.session().clone().call_raw(request).await?;
    if let Some(error) = reply.rerror() {
        return Err(error);
    }
    for (key, value) in reply.meta.iter() {
        // Whether the own reply is encrypted is for its caller to say.
        if key != SECURE.as_bytes() {
            ctx.add_meta(key, value);
        }
    }
    // What the caller asked for goes first.
    if ctx.reply_body_codec() == ctx.body_codec() {
        ctx.set_body_codec(reply.body_codec);
    }
    Ok(Raw(reply.body))
}

fn param<'a>(ctx: &'a UnknownCallCtx, name: &str) -> Result<&'a [u8], Rerror> {
    ctx.uri()
        .query_bytes(name)
        .ok_or_else(|| Rerror::bad_message(format!("the parameter {name} is missing")))
}

fn text<'a>(ctx: &'a UnknownCallCtx, name: &str) -> Result<&'a str, Rerror> {
    str::from_utf8(param(ctx, name)?)
        .map_err(|_| Rerror::bad_message(format!("the parameter {name} is not UTF-8")))
}

fn number<T: FromStr>(ctx: &UnknownCallCtx, name: &str) -> Result<T, Rerror> {
    let text = text(ctx, name)?;
    // Numbers are read without a plus sign.
    match text.parse() {
        Ok(number) if !text.starts_with('+') => Ok(number),
        _ => Err(Rerror::bad_message(format!(
            "the parameter {name} is no number in range: {text:?}"
        ))),
    }
}
