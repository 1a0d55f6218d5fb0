//! Lines on their way to standard output or standard error.
//!
//! A thread of its own writes and flushes them one by one, so that a reader that takes its time
//! holds up nobody. Only when much is waiting do those wait who bring more.

use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// How many bytes may wait to be written.
const WAITING: u32 = 64 << 20;

/// A handle to a thread that writes lines.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
}

/// What the thread does.
enum Job {
    /// The permit is held until the line is written.
    Write(Vec<u8>, Option<OwnedSemaphorePermit>),
    /// Tells that all before it is written.
    Tell(SyncSender<()>),
}

impl Lines {
    /// Starts a thread that writes to `out`. The receiver gets the error that ended the writing.
    pub(crate) fn to(out: impl Write + Send + 'static) -> (Self, oneshot::Receiver<io::Error>) {
        let (jobs, received) = channel();
        let (failed, failure) = oneshot::channel();
        thread::spawn(move || write_all(out, &received, failed));
        let room = Arc::new(Semaphore::new(WAITING as usize));
        (Self { jobs, room }, failure)
    }

    /// Hands a line over if there is room, else gives what to wait for.
    pub(crate) fn put(&self, line: Vec<u8>) -> Option<impl Future<Output = ()> + Send + use<>> {
        let cost = u32::try_from(line.len()).unwrap_or(WAITING).min(WAITING);
        match Arc::clone(&self.room).try_acquire_many_owned(cost) {
            Ok(permit) => {
                self.job(Job::Write(line, Some(permit)));
                None
            }
            Err(_) => {
                let lines = self.clone();
                Some(async move {
                    let permit = Arc::clone(&lines.room).acquire_many_owned(cost).await;
                    lines.job(Job::Write(line, permit.ok()));
                })
            }
        }
    }

    /// Hands a line over, however much is waiting.
    pub(crate) fn say(&self, line: Vec<u8>) {
        self.job(Job::Write(line, None));
    }

    /// Waits until everything is written, at most as long as `bound`.
    pub(crate) fn finish(&self, bound: Option<Duration>) {
        let (tell, told) = sync_channel(1);
        self.job(Job::Tell(tell));
        // An end of the thread, or of the time, is an end of the waiting.
        let _ = match bound {
            None => told.recv().is_ok(),
            Some(bound) => told.recv_timeout(bound).is_ok(),
        };
    }

    fn job(&self, job: Job) {
        // The thread ends when the last handle is gone, not before.
        let _ = self.jobs.send(job);
    }
}

/// The thread: after an error it takes the jobs and does nothing about them.
fn write_all(mut out: impl Write, jobs: &Receiver<Job>, failed: oneshot::Sender<io::Error>) {
    let mut failed = Some(failed);
    for job in jobs {
        match job {
            Job::Write(line, _permit) if failed.is_some() => {
                if let Err(error) = out.write_all(&line).and_then(|()| out.flush())
                    && let Some(failed) = failed.take()
                {
                    let _ = failed.send(error);
                }
            }
            Job::Write(..) => {}
            Job::Tell(tell) => {
                let _ = tell.send(());
            }
        }
    }
}
