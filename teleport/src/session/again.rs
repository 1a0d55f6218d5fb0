//! Calls under way that may have to be made again, because their connection was lost.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use super::Session;
use super::calls::ReplyIn;
use super::launch::Again;
use super::waiting::{CallPlace, Waiting};
use crate::error::{Error, ErrorKind};
use crate::lock;
use crate::message::Seq;
use crate::router::handler::BoxFuture;

/// What it takes to make a call again whose caller has its command.
pub(super) struct Relaunch {
    session: Session,
    call: Again,
    launching: Option<BoxFuture<'static, Result<Waiting, Error>>>,
    place: Arc<MovingPlace>,
    /// The sequence text, once it was made again.
    seq: Option<Seq>,
}

impl Relaunch {
    pub(super) fn new(session: &Session, call: Again, waiting: &Waiting) -> Self {
        Self {
            session: session.clone(),
            call: call.until(waiting.deadline),
            launching: None,
            place: Arc::new(MovingPlace::new(waiting.place())),
            seq: None,
        }
    }

    pub(super) fn place(&self) -> Arc<MovingPlace> {
        Arc::clone(&self.place)
    }

    pub(super) fn seq(&self, first: &Seq) -> Seq {
        self.seq.as_ref().unwrap_or(first).clone()
    }

    /// Waits for the reply; makes the call again when it may.
    pub(super) fn poll(
        &mut self,
        waiting: &mut Waiting,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ReplyIn, Error>> {
        loop {
            if let Some(launching) = &mut self.launching {
                if self.place.is_cancelled(cx.waker()) {
                    self.launching = None;
                    let error = Error::new(ErrorKind::Cancelled, "the call was cancelled");
                    return Poll::Ready(Err(error));
                }
                let launched = ready!(launching.as_mut().poll(cx));
                self.launching = None;
                *waiting = launched?;
                self.seq = Some(waiting.seq());
                self.place.move_to(waiting.place());
            }
            let result = ready!(waiting.poll(cx));
            if !waiting.may_go_again(result.as_ref(), self.call.is_idempotent) {
                return Poll::Ready(result);
            }
            let launching = self.call.clone().launch(self.session.clone());
            self.launching = Some(Box::pin(launching));
        }
    }
}

/// Where a call waits that may move to another connection.
#[derive(Debug)]
pub(super) struct MovingPlace(Mutex<Moving>);

#[derive(Debug)]
struct Moving {
    place: CallPlace,
    is_cancelled: bool,
    waker: Option<Waker>,
}

impl MovingPlace {
    fn new(place: CallPlace) -> Self {
        Self(Mutex::new(Moving {
            place,
            is_cancelled: false,
            waker: None,
        }))
    }

    pub(super) fn cancel(&self) {
        let (place, waker) = {
            let mut moving = lock(&self.0);
            moving.is_cancelled = true;
            (moving.place.clone(), moving.waker.take())
        };
        place.cancel();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it was cancelled; else the waker is told when it is.
    fn is_cancelled(&self, waker: &Waker) -> bool {
        let mut moving = lock(&self.0);
        moving.waker = Some(waker.clone());
        moving.is_cancelled
    }

    fn move_to(&self, place: CallPlace) {
        let cancelled = {
            let mut moving = lock(&self.0);
            moving.place = place;
            moving.is_cancelled.then(|| moving.place.clone())
        };
        if let Some(place) = cancelled {
            place.cancel();
        }
    }
}
