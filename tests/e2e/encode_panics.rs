//! A body that fails or panics half way leaves no byte behind.

use bytes::Bytes;
use serde::ser::{Serialize, SerializeSeq, Serializer};
use teleport::{CallCtx, ErrorKind, Peer, controller};
use teleport_tests::frames::{RawFrame, read_frame};
use teleport_tests::logs::capture;
use teleport_tests::pair::{bare, call_bytes, connect_counted};
use tokio::io::AsyncWriteExt;

/// What becomes of a list after its first few elements.
#[derive(Clone, Copy, Debug)]
enum Broken {
    Fails,
    Panics,
}

impl Serialize for Broken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for n in 0..1000 {
            list.serialize_element(&n)?;
        }
        match self {
            Self::Fails => Err(serde::ser::Error::custom("cannot go on")),
            Self::Panics => panic!("half way through"),
        }
    }
}

struct Give;

#[controller]
impl Give {
    async fn back(&self, arg: Bytes) -> Bytes {
        arg
    }

    async fn panics(&self) -> Broken {
        Broken::Panics
    }

    async fn fails(&self, ctx: &mut CallCtx) -> Broken {
        ctx.set_meta("k", "v");
        Broken::Fails
    }

    async fn panics_later(&self) -> Broken {
        tokio::task::yield_now().await;
        Broken::Panics
    }
}

fn giving() -> Peer {
    let peer = Peer::builder().build().unwrap();
    peer.route_call(Give).unwrap();
    peer
}

async fn callers_leave_no_byte(xfer: &'static [u8]) {
    let client = Peer::builder().build().unwrap();
    let [_there, (here, writes)] = connect_counted(&giving(), &client).await;
    for _ in 0..3 {
        let error = here
            .call::<()>("/give/back", Broken::Fails)
            .xfer(xfer)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode, "{error:?}");
        assert!(format!("{error:?}").contains("cannot go on"), "{error:?}");

        let lent = here.clone();
        let call = async move {
            lent.call::<()>("/give/back", Broken::Panics)
                .xfer(xfer)
                .await
        };
        assert!(tokio::spawn(call).await.unwrap_err().is_panic());
        let lent = here.clone();
        let push = async move { lent.push("/give/back", Broken::Panics).xfer(xfer).await };
        assert!(tokio::spawn(push).await.unwrap_err().is_panic());

        assert_eq!(writes.take(), Vec::<usize>::new());
        assert_eq!(here.calls_in_flight(), 0);
        assert_eq!(call_bytes(&here, "/give/back", "x").await.unwrap(), "x");
        assert_eq!(writes.take().len(), 1);
    }
}

#[tokio::test]
async fn a_call_or_push_that_cannot_be_encoded_leaves_no_byte() {
    callers_leave_no_byte(b"").await;
    callers_leave_no_byte(b"gm").await;
}

#[tokio::test]
async fn a_call_that_is_logged_and_cannot_be_encoded_leaves_no_byte() {
    let (_logs, _guard) = capture(true);
    callers_leave_no_byte(b"").await;
}

async fn replies_leave_no_byte() {
    let server = giving();
    let (session, mut stream) = bare(&server, 1 << 16).await;
    for later in [false, true] {
        let paths = ["back", "panics", "back", "fails", "panics", "back"];
        let mut bytes = Vec::new();
        for (n, path) in paths.iter().enumerate() {
            let path = match *path {
                "panics" if later => "panics/later",
                path => path,
            };
            let uri = format!("/give/{path}");
            bytes.extend(RawFrame::call(&n.to_string(), &uri, "\"x\"").bytes());
        }
        stream.write_all(&bytes).await.unwrap();
        let mut replies = Vec::new();
        for _ in paths {
            replies.push(read_frame(&mut stream).await.unwrap().unwrap());
        }
        replies.sort_by(|a, b| a.seq.cmp(&b.seq));
        for (n, (reply, path)) in replies.iter().zip(paths).enumerate() {
            assert_eq!(reply.seq, n.to_string());
            if path == "back" {
                assert_eq!(
                    (reply.error(), &reply.body[..]),
                    (String::new(), &b"\"x\""[..])
                );
                continue;
            }
            let why = match path {
                "panics" => "half way through",
                _ => "cannot go on",
            };
            assert!(reply.error().contains("\"code\":500"), "{reply:?}");
            assert!(reply.error().contains(why), "{reply:?}");
            assert_eq!((reply.codec, reply.body.len()), (0, 0));
            assert_eq!(reply.meta_value("k").is_some(), path == "fails");
        }
    }
    assert!(session.health());
    assert_eq!(session.running_handlers(), 0);
}

#[tokio::test]
async fn a_reply_that_cannot_be_encoded_becomes_error_500_among_the_others() {
    replies_leave_no_byte().await;
}

#[tokio::test]
async fn a_reply_that_is_logged_and_cannot_be_encoded_becomes_error_500() {
    let (logs, _guard) = capture(true);
    replies_leave_no_byte().await;
    assert!(logs.has(&["uri=/give/panics", "error=500", "half way through"]));
}
