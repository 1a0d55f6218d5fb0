//! The end of a peer.

use std::future::Future;
use std::time::Duration;

use super::{Peer, ShutdownReport, shutdown};

impl Peer {
    /// Closes the peer in good order: listens no more, and closes all sessions as
    /// [`Session::close`](crate::Session::close) does. Returns when all of this is done, however long a handler takes;
    /// [`shutdown`](Self::shutdown) has a deadline.
    ///
    /// The closing begins with the call; the future only waits for its end. A handler that awaited
    /// it for its own peer would wait for itself: `drop(peer.close())` is for there.
    ///
    /// # Cancel safety
    ///
    /// The closing goes on when the future is dropped.
    pub fn close(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.closing.cancel();
        for session in self.sessions().all() {
            session.inner().begin_close("the peer is closing");
        }
        self.0.tasks.close();
        self.at_end()
    }

    /// Shuts the peer down so that nothing is lost: listens no more, tells the other ends, lets
    /// handlers that run and calls in flight come to their end, writes what is queued, and closes.
    /// At the deadline what is left is cut off: handlers are dropped where they wait, but for those
    /// that are to [finish](crate::OnCancel::Finish). The report says what became of everything.
    ///
    /// Other ends of this kind make no more calls here when they are told, and close when their
    /// calls are done. Those that do not understand are served for a moment more, half of the
    /// deadline and 1 s at most; a session on which nothing moves for 100 ms is closed. A call that
    /// comes too late is answered with error 503 and the metadata
    /// [`NOT_RUN`](crate::message::meta::NOT_RUN), and at the very end the other end is told that
    /// all calls without a reply were not run. A push that comes too late is dropped; the report
    /// counts those, and the other end is told how many they were.
    ///
    /// The shutdown begins with the call. A second call, while it lasts, cuts everything off at
    /// once; both get the report. A deadline of zero does so too. After the deadline the hooks
    /// [`post_disconnect`](crate::Plugin::post_disconnect) may take half a second more.
    ///
    /// A handler that awaited this for its own peer would wait for itself, and be dropped at the
    /// deadline; one that calls it and goes is answered.
    ///
    /// # Cancel safety
    ///
    /// The shutdown goes on when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), teleport::Error> {
    /// use std::time::Duration;
    ///
    /// let server = teleport::Peer::builder().build()?;
    /// server.listen_on("127.0.0.1:0").await?;
    /// let report = server.shutdown(Duration::from_secs(10)).await;
    /// assert!(report.is_complete(), "{report}");
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "graceful")]
    #[doc(alias = "drain")]
    pub fn shutdown(
        &self,
        deadline: Duration,
    ) -> impl Future<Output = ShutdownReport> + Send + use<> {
        shutdown::shut_down(&self.0, deadline)
    }

    /// Waits for all tasks, or for the end of a shutdown that cut them off.
    async fn at_end(&self) {
        tokio::select! {
            () = self.0.tasks.wait() => {}
            () = self.0.over() => {}
        }
    }

    /// Waits until somebody closes the peer.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn closed(&self) {
        self.0.closing.cancelled().await;
        self.at_end().await;
    }
}
