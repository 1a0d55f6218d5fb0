//! Messages before the session starts: a plugin on either side that says who is there.
//!
//! Run with `cargo run -p teleport-examples --example early_messages`.

use serde::{Deserialize, Serialize};
use teleport::message::Mtype;
use teleport::{
    CallCtx, Error, ErrorKind, Message, Peer, Plugin, PreSession, Rerror, codec, controller, plugin,
};

#[derive(Serialize, Deserialize)]
struct Hello {
    user: String,
    ticket: u32,
}

/// On the client: introduces itself as soon as the connection is there.
struct Introduce(&'static str, u32);

#[plugin]
impl Plugin for Introduce {
    fn name(&self) -> &str {
        "introduce"
    }

    async fn post_dial(&self, pre: &mut PreSession) -> Result<(), Rerror> {
        let hello = Hello {
            user: self.0.to_owned(),
            ticket: self.1,
        };
        let body = pre.encode(codec::JSON, &hello)?;
        let call = Message::new(Mtype::CALL, "/hello", body).with_body_codec(codec::JSON);
        pre.send(call).await?;
        // The reply comes to nobody but us: there is no read loop yet.
        let reply = pre.receive().await?;
        if let Some(refused) = Rerror::from_meta(&reply.header.meta) {
            return Err(refused);
        }
        println!("client: {}", pre.decode::<String>(&reply)?);
        Ok(())
    }
}

/// On the server: lets nobody in without a good ticket.
struct Door;

#[plugin]
impl Plugin for Door {
    fn name(&self) -> &str {
        "door"
    }

    async fn post_accept(&self, pre: &mut PreSession) -> Result<(), Rerror> {
        let call = pre.receive().await?;
        let hello: Hello = pre.decode(&call)?;
        let mut reply = Message::new(Mtype::REPLY, "", "").with_seq(call.header.seq);
        if hello.ticket != 42 {
            let refused = Rerror::unauthorized("the ticket is not valid");
            refused.set_meta(&mut reply.header.meta);
            pre.send(reply).await?;
            // The connection is closed behind the reply.
            return Err(refused);
        }
        reply.body = pre.encode(codec::JSON, &format!("welcome, {}", hello.user))?;
        pre.send(reply.with_body_codec(codec::JSON)).await?;
        // What is known from here on: the name of the session, and data of its own.
        pre.set_id(&hello.user);
        pre.swap_mut().insert("hello", hello);
        Ok(())
    }
}

struct Me;

#[controller]
impl Me {
    fn ticket(&self, ctx: &mut CallCtx) -> Result<u32, Rerror> {
        let swap = ctx.session().swap();
        let hello = swap.get::<Hello>("hello");
        hello
            .map(|hello| hello.ticket)
            .ok_or_else(Rerror::not_found)
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let srv = Peer::builder().plugin(Door).build()?;
    srv.route_call(Me)?;
    let address = srv.listen_on("127.0.0.1:0").await?;

    let ann = Peer::builder().plugin(Introduce("ann", 42)).build()?;
    let sess = ann.dial(&address).await?;
    let ticket: u32 = sess.call("/me/ticket", ()).await?;
    println!("client: my ticket is {ticket}");
    assert_eq!(ticket, 42);
    assert!(srv.sessions().get("ann").is_some());

    let bob = Peer::builder().plugin(Introduce("bob", 1)).build()?;
    let refused = bob.dial(&address).await.unwrap_err();
    println!("client: {refused}");
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(refused.rerror().map(Rerror::code), Some(401));

    ann.close().await;
    srv.close().await;
    Ok(())
}
