//! The server calls and pushes its client on the connection that the client opened.
//!
//! Run with `cargo run -p teleport-examples --example both_directions`.

use std::sync::Mutex;

use teleport::{CallCtx, Error, Peer, Rerror, controller, push_handler};

/// On the server: asks the client back before it answers.
struct Shop;

#[controller]
impl Shop {
    async fn order(&self, ctx: &mut CallCtx, item: String) -> Result<String, Rerror> {
        let client = ctx.session();
        client.push("/progress/report", "looking for it").await?;
        let sure: bool = client.call("/customer/confirm", &item).await?;
        client.push("/progress/report", "packing it").await?;
        Ok(if sure {
            format!("one {item}")
        } else {
            "nothing".to_owned()
        })
    }

    /// Names the session, so that others find it.
    fn sign_in(&self, ctx: &mut CallCtx, name: String) {
        ctx.session().set_id(name);
    }
}

/// On the client: answers calls of the server.
struct Customer;

#[controller]
impl Customer {
    fn confirm(&self, item: String) -> bool {
        println!("customer: do I want this: {item}?");
        item != "anvil"
    }
}

/// On the client: is told how things go.
#[derive(Default)]
struct Progress(Mutex<Vec<String>>);

#[push_handler]
impl Progress {
    fn report(&self, step: String) {
        println!("progress: {step}");
        self.0.lock().unwrap().push(step);
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let shop = Peer::builder().build()?;
    shop.route_call(Shop)?;
    let address = shop.listen_on("127.0.0.1:0").await?;

    let ann = Peer::builder().build()?;
    ann.route_call(Customer)?;
    ann.route_push(Progress::default())?;
    let sess = ann.dial(&address).await?;

    for (item, expected) in [("hammer", "one hammer"), ("anvil", "nothing")] {
        let got: String = sess.call("/shop/order", item).await?;
        println!("customer: got {got}");
        assert_eq!(got, expected);
    }

    // The server may begin as well: it has a session for each connection, by name or all of them.
    sess.call::<()>("/shop/sign/in", "ann").await?;
    let to_ann = shop.sessions().get("ann").expect("ann has signed in");
    let wants: bool = to_ann.call("/customer/confirm", "saw").await?;
    assert!(wants);
    assert_eq!(shop.sessions().len(), 1);

    ann.close().await;
    shop.close().await;
    Ok(())
}
