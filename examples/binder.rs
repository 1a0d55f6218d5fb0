//! Handlers whose arguments have rules: the caller is told what is wrong, the handler never runs.
//!
//! Run with `cargo run -p teleport-examples --example binder`.

use serde::{Deserialize, Serialize};
use teleport::{Bind, Error, Peer, Plugin, ReadCtx, Rerror, Session, controller, plugin};

/// One line of an order.
#[derive(Serialize, Deserialize, Bind)]
struct Line {
    #[param(regex = r"^[a-z]\w*$", desc = "What it is.")]
    product: String,
    #[param(range(1..=100))]
    amount: u32,
}

/// An order, put together from body, query and swap.
#[derive(Serialize, Deserialize, Bind)]
struct Order {
    // Each line is checked; the error says which.
    #[param(nested, len(1..=3))]
    lines: Vec<Line>,
    // From the query: the body need not have it, hence the default.
    #[serde(default)]
    #[param(query = "_voucher", len(..=8))]
    voucher: Option<String>,
    // From the swap, where a plugin put it. What is skipped can never be set by a caller.
    #[serde(skip)]
    #[param(swap, nonzero, error(code = 100_002, message = "Say who you are"))]
    customer: String,
}

struct Shop;

#[controller]
impl Shop {
    async fn order(&self, order: Order) -> String {
        let voucher = order.voucher.as_deref().unwrap_or("no voucher");
        let lines = order.lines.iter();
        let lines: Vec<_> = lines
            .map(|l| format!("{} {}", l.amount, l.product))
            .collect();
        format!("{} for {}, {voucher}", lines.join(" and "), order.customer)
    }
}

/// Notes who calls, as an authentication would.
struct Customers;

#[plugin]
impl Plugin for Customers {
    fn name(&self) -> &str {
        "customers"
    }

    fn post_read_call_body(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        if let Some(name) = ctx.meta().get("name").map(str::to_owned) {
            ctx.swap().insert("customer", name);
        }
        Ok(())
    }
}

/// Calls and prints what comes back.
async fn order(session: &Session, uri: &str, name: &str, lines: &[(&str, u32)]) {
    let line = |(product, amount): &(&str, u32)| Line {
        product: (*product).to_owned(),
        amount: *amount,
    };
    let body = Order {
        lines: lines.iter().map(line).collect(),
        voucher: None,
        customer: String::new(),
    };
    let mut call = session.call::<String>(uri, &body);
    if !name.is_empty() {
        call = call.meta("name", name);
    }
    match call.await {
        Ok(answer) => println!("{answer}"),
        Err(error) => println!("refused: {error}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder().plugin(Customers).build()?;
    server.route_call(Shop)?;
    let address = server.listen_on("127.0.0.1:0").await?;
    let client = Peer::builder().build()?;
    let session = client.dial(&address).await?;

    let path = "/shop/order";
    order(&session, path, "ann", &[("pears", 3), ("figs", 100)]).await;
    order(
        &session,
        "/shop/order?_voucher=SPRING",
        "ann",
        &[("pears", 3)],
    )
    .await;
    order(&session, path, "ann", &[("pears", 3), ("figs", 101)]).await;
    order(&session, path, "ann", &[("Pears!", 3)]).await;
    order(&session, path, "ann", &[]).await;
    order(
        &session,
        "/shop/order?_voucher=far-too-long",
        "ann",
        &[("pears", 3)],
    )
    .await;
    order(&session, path, "", &[("pears", 3)]).await;

    // The rules are known to programs too, and can be asked without a call.
    for param in Line::PARAMS {
        println!("{}: {} {}", param.name, param.rules, param.desc);
    }
    let line = Line {
        product: "pears".to_owned(),
        amount: 0,
    };
    if let Err(invalid) = line.check() {
        println!("{invalid}");
    }
    Ok(())
}
