//! A registration centre: a plugin announces a peer's routes, and clients find it by them.
//!
//! Run with `cargo run -p teleport-examples --example registration_plugin`.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use teleport::router::{HandlerInfo, RouteKind};
use teleport::{Address, CallCtx, Error, Peer, Plugin, Session, controller, plugin};

#[derive(Clone, Serialize, Deserialize)]
struct Service {
    address: String,
    routes: Vec<String>,
}

/// The centre: who serves what, for as long as they are connected.
#[derive(Default)]
struct Registry(Mutex<Vec<(Session, Service)>>);

#[controller]
impl Registry {
    fn announce(&self, ctx: &mut CallCtx, service: Service) {
        println!("registry: {} serves {:?}", service.address, service.routes);
        let mut services = self.0.lock().unwrap();
        services.push((ctx.session().clone(), service));
    }

    fn find(&self, route: String) -> Vec<String> {
        let mut services = self.0.lock().unwrap();
        services.retain(|(session, _)| session.health());
        let serving = services.iter().filter(|(_, s)| s.routes.contains(&route));
        serving
            .map(|(_, service)| service.address.clone())
            .collect()
    }
}

/// Collects the routes of its peer and announces them with every address it listens on.
struct Registration {
    registry: Session,
    routes: Mutex<Vec<String>>,
}

#[plugin]
impl Plugin for Registration {
    fn name(&self) -> &str {
        "registration"
    }

    fn post_reg(&self, handler: &mut HandlerInfo) -> Result<(), Error> {
        if handler.kind() == RouteKind::Call {
            self.routes.lock().unwrap().push(handler.path().to_owned());
        }
        Ok(())
    }

    // The hooks of a peer's life do not wait, so the announcement goes its own way.
    fn post_listen(&self, address: &Address) -> Result<(), Error> {
        let registry = self.registry.clone();
        let service = Service {
            address: address.to_string(),
            routes: self.routes.lock().unwrap().clone(),
        };
        tokio::spawn(async move {
            if let Err(error) = registry.call::<()>("/registry/announce", &service).await {
                eprintln!("not announced: {error}");
            }
        });
        Ok(())
    }
}

struct Math;

#[controller]
impl Math {
    fn add(&self, arg: Vec<i64>) -> i64 {
        arg.iter().sum()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let centre = Peer::builder().build()?;
    centre.route_call(Registry::default())?;
    let centre_address = centre.listen_on("127.0.0.1:0").await?;

    // A service announces itself; all it has to do is to carry the plugin.
    let to_centre = Peer::builder().build()?;
    let registration = Registration {
        registry: to_centre.dial(&centre_address).await?,
        routes: Mutex::default(),
    };
    let service = Peer::builder().plugin(registration).build()?;
    service.route_call(Math)?;
    service.listen_on("127.0.0.1:0").await?;

    // A client knows the centre alone. It asks until the service has announced itself.
    let cli = Peer::builder().build()?;
    let directory = cli.dial(&centre_address).await?;
    let found = loop {
        let found: Vec<String> = directory.call("/registry/find", "/math/add").await?;
        if !found.is_empty() {
            break found;
        }
    };
    println!("client: found {found:?}");
    let sess = cli.dial(&found[0]).await?;
    let sum: i64 = sess.call("/math/add", [1, 2, 3]).await?;
    println!("client: the sum is {sum}");
    assert_eq!(sum, 6);

    for peer in [cli, service, to_centre, centre] {
        peer.close().await;
    }
    Ok(())
}
