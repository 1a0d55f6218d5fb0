//! Any message comes back as it was, and no message that was changed anywhere is taken.

use bytes::Bytes;
use proptest::prelude::*;
use teleport::codec::Raw;
use teleport::{Peer, Rerror, UnknownCallCtx};
use teleport_tests::middle::{Way, middle};

use super::{behind_the_handshake, sealed};

async fn echo(ctx: &mut UnknownCallCtx) -> Result<Raw<Bytes>, Rerror> {
    let pairs: Vec<_> = ctx
        .meta()
        .iter()
        .map(|(k, v)| (k.to_vec(), v.to_vec()))
        .collect();
    for (key, value) in pairs {
        ctx.add_meta(key, value);
    }
    let uri = ctx.uri().as_bytes().to_vec();
    ctx.add_meta("uri", uri);
    Ok(Raw(ctx.body().clone()))
}

type Pairs = Vec<(String, Vec<u8>)>;

/// The body, the metadata and the uri that an echo saw, if the call was taken.
fn round_trip(
    query: &str,
    pairs: &Pairs,
    body: &[u8],
    change: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static,
) -> Option<(Vec<u8>, Pairs)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (server, client): (Peer, Peer) = (sealed().build().unwrap(), sealed().build().unwrap());
        server.set_unknown_call(echo).unwrap();
        let (near, far, _middle) = middle(change);
        let (there, here) = tokio::join!(server.serve_conn(far), client.dial_conn(near));
        let (_there, here) = (there.unwrap(), here.unwrap());
        let uri = format!("/any{query}");
        let mut call = here.call::<Raw<Bytes>>(&uri, Raw(Bytes::copy_from_slice(body)));
        for (key, value) in pairs {
            call = call.meta(key, value);
        }
        let call = call.timeout(std::time::Duration::from_secs(60));
        let reply = call.send().await.unwrap().reply().await.ok()?;
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        let seen = reply
            .meta
            .iter()
            .map(|(k, v)| (text(k), v.to_vec()))
            .collect();
        Some((reply.body.0.to_vec(), seen))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_message_comes_back_as_it_was(
        query in "(\\?[a-z=&%?+ -]{0,20})?",
        pairs in prop::collection::vec(("[a-z]{1,8}", prop::collection::vec(any::<u8>(), 0..40)), 0..4),
        body in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let (seen, mut meta) = round_trip(&query, &pairs, &body, |_, frame| vec![frame]).unwrap();
        prop_assert_eq!(seen, body);
        let uri = meta.pop().unwrap();
        prop_assert_eq!(uri, ("uri".to_owned(), format!("/any{query}").into_bytes()));
        prop_assert_eq!(meta, pairs);
    }

    #[test]
    fn no_changed_message_is_taken(
        body in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        mask in 1..=255_u8,
        to_server in any::<bool>(),
    ) {
        let way = if to_server { Way::ToServer } else { Way::ToClient };
        let change = behind_the_handshake(way, move |_, mut frame| {
            let at = at.index(frame.len());
            frame[at] ^= mask;
            vec![frame]
        });
        prop_assert_eq!(round_trip("?a=b", &Vec::new(), &body, change), None);
    }
}
