//! Sealed sessions: what travels in them, and what is refused.

mod attacks;
mod handshakes;
mod notices;
mod properties;
mod sessions;
mod strangers;

use std::sync::{Arc, Mutex};

use teleport::plugins::secure::{Key, Sealed};
use teleport::{CallCtx, Peer, PeerBuilder, PushCtx, Rerror, Session, controller, push_handler};
use teleport_tests::middle::{Middle, Way, middle};

const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn key(id: &str) -> Key {
    Key::from_hex(id, DIGITS).unwrap()
}

fn sealed() -> PeerBuilder {
    Peer::builder().plugin(Sealed::new(key("k1")))
}

/// What the handlers of a peer were given, in order.
#[derive(Clone, Debug, Default)]
struct Handled(Arc<Mutex<Vec<String>>>);

impl Handled {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Work(Handled);

#[controller]
impl Work {
    fn echo(&self, ctx: &mut CallCtx, arg: String) -> String {
        let query = String::from_utf8_lossy(ctx.uri().raw_query()).into_owned();
        self.0.note(format!("{arg}?{query}"));
        let meta: Vec<_> = ctx
            .meta()
            .iter()
            .map(|(k, v)| (k.to_vec(), v.to_vec()))
            .collect();
        for (key, value) in meta {
            ctx.add_meta(key, value);
        }
        arg
    }

    fn fail(&self, arg: String) -> Result<(), Rerror> {
        Err(Rerror::new(7, "no", format!("secret {arg}")))
    }

    fn boom(&self) {
        panic!("secret boom");
    }

    /// Waits until it is told.
    async fn wait(&self, ctx: &mut CallCtx) -> Result<String, Rerror> {
        Ok(ctx.session().call("/work/echo", "go on?").await?)
    }
}

struct Note(Handled);

#[push_handler]
impl Note {
    fn it(&self, _ctx: &mut PushCtx, arg: String) {
        self.0.note(arg);
    }
}

/// A sealed session with somebody in the middle.
struct Tapped {
    server: Peer,
    client: Peer,
    here: Session,
    there: Session,
    middle: Middle,
    /// What was handled on the server, and on the client.
    handled: Handled,
    handled_here: Handled,
}

fn serve(peer: &Peer, handled: &Handled) {
    peer.route_call(Work(handled.clone())).unwrap();
    peer.route_push(Note(handled.clone())).unwrap();
}

async fn tapped(change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Tapped {
    tapped_of(sealed(), sealed(), change).await
}

async fn tapped_of(
    server: PeerBuilder,
    client: PeerBuilder,
    change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> Tapped {
    let (server, client) = (server.build().unwrap(), client.build().unwrap());
    let (handled, handled_here) = (Handled::default(), Handled::default());
    serve(&server, &handled);
    serve(&client, &handled_here);
    let (near, far, middle) = middle(change);
    let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
    Tapped {
        server,
        client,
        there: there.unwrap(),
        here: here.unwrap(),
        middle,
        handled,
        handled_here,
    }
}

/// Changes the frames that go one way behind the handshake: the first is number 0.
fn behind_the_handshake(
    way: Way,
    mut change: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static {
    // A hello and a proof to the server, one answer to the client.
    let handshake = match way {
        Way::ToServer => 2,
        Way::ToClient => 1,
    };
    let mut count = 0;
    move |this, frame| {
        if this != way {
            return vec![frame];
        }
        count += 1;
        if count <= handshake {
            return vec![frame];
        }
        change(count - handshake - 1, frame)
    }
}

fn as_it_is(_: Way, frame: Vec<u8>) -> Vec<Vec<u8>> {
    vec![frame]
}
