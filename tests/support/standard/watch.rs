//! Every push that a peer receives, as it came.

use bytes::Bytes;
use teleport::{Meta, Plugin, ReadCtx, Rerror};
use tokio::sync::mpsc::UnboundedSender;

/// A push as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The sequence text.
    pub seq: Vec<u8>,
    /// Path and query.
    pub uri: Vec<u8>,
    /// The metadata.
    pub meta: Meta,
    /// The codec of the body.
    pub body_codec: u8,
    /// The filters that it came through.
    pub xfer: Vec<u8>,
    /// The body.
    pub body: Bytes,
}

/// A plugin that tells of every push that its peer receives, whether there is a route or not.
#[derive(Clone, Debug)]
pub struct WatchPushes(pub UnboundedSender<Seen>);

#[teleport::plugin]
impl Plugin for WatchPushes {
    fn name(&self) -> &str {
        "watch_pushes"
    }

    fn post_read_push_header(&self, ctx: &mut ReadCtx) -> Result<(), Rerror> {
        let seen = Seen {
            seq: ctx.seq().as_bytes().to_vec(),
            uri: ctx.uri().as_bytes().to_vec(),
            meta: ctx.meta().clone(),
            body_codec: ctx.body_codec(),
            xfer: ctx.xfer().ids().to_vec(),
            body: ctx.body().clone(),
        };
        // Whoever watched may have left.
        let _ = self.0.send(seen);
        Ok(())
    }
}
