//! The end of a connection that a test holds in its hands.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use teleport::message::Mtype;
use teleport::proto::Unpack;
use teleport_tests::standard::{Options, spoken::Spoken};
use teleport_tests::vectors::{Check, Miss};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::rules;
use super::script::Frame;

/// How long the clock, which moves only while nobody has work to do, is watched for more bytes.
pub(super) const QUIET: Duration = Duration::from_secs(600);

/// What came.
#[derive(Debug)]
pub(super) enum Came {
    Frame(Box<Frame>),
    /// The other end closed its stream.
    End,
    /// Nothing, and nothing will.
    Nothing,
}

impl Came {
    fn describe(&self) -> String {
        match self {
            Self::Frame(frame) => format!("{frame}"),
            Self::End => "the end of the stream".to_owned(),
            Self::Nothing => "nothing".to_owned(),
        }
    }
}

/// The test's end of a connection, and what it still waits for.
pub(super) struct Wire {
    read: ReadHalf<DuplexStream>,
    write: WriteHalf<DuplexStream>,
    buffer: BytesMut,
    /// What has been recorded and not come yet.
    due: VecDeque<Frame>,
    /// What came early, out of the order of the recording.
    early: Vec<Frame>,
    /// The calls that were said and not answered yet.
    open_calls: usize,
    spoken: Spoken,
    unpack: Box<dyn Unpack>,
    limit: Option<usize>,
    /// Bytes were said that our peer has no way to go on after.
    broken: bool,
    /// A message was begun, and not ended.
    unfinished: bool,
    ended: bool,
}

impl Wire {
    /// Holds an end whose other end is of these options.
    pub(super) fn new(stream: DuplexStream, options: &Options) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            read,
            write,
            buffer: BytesMut::new(),
            due: VecDeque::new(),
            early: Vec::new(),
            open_calls: 0,
            spoken: options.proto,
            unpack: options.proto.proto().split().1,
            limit: options.limit,
            broken: false,
            unfinished: false,
            ended: false,
        }
    }

    /// Says a recorded frame.
    pub(super) async fn say(&mut self, frame: &Frame) {
        if frame.mtype == Mtype::CALL {
            self.open_calls += 1;
        }
        let counted = self.spoken.counted(frame.bytes.len());
        let is_too_large = self.limit.is_some_and(|limit| counted > limit);
        self.broken = is_too_large || rules::ends_the_connection(frame);
        self.say_bytes(&frame.bytes).await;
    }

    /// Says bytes that are no frame.
    pub(super) async fn say_broken(&mut self, bytes: &[u8]) {
        self.broken = true;
        let first = Frame::first(&mut *self.unpack, bytes, false);
        self.unfinished = matches!(first, Ok(None));
        self.say_bytes(bytes).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        // An end that has closed hears nothing; what it should have said will be missed.
        let _ = self.write.write_all(bytes).await;
    }

    /// Ends the stream.
    pub(super) async fn shut(&mut self) {
        let _ = self.write.shutdown().await;
    }

    /// How many calls were said and not answered yet.
    pub(super) fn open_calls(&self) -> usize {
        self.open_calls
    }

    /// Whether what was said last makes the other end close by itself.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether what was said last is the beginning of a message, and no more.
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    /// A frame that has to come before the next is said.
    pub(super) fn expect(&mut self, frame: &Frame) {
        self.due.push_back(frame.clone());
    }

    /// Waits for everything that is due.
    pub(super) async fn settle(&mut self) -> Check {
        while let Some(due) = self.due.pop_front() {
            let came = self.take(&due).await?;
            if due.mtype == Mtype::REPLY {
                self.open_calls = self.open_calls.saturating_sub(1);
            }
            rules::same_frame(self.spoken, &came, &due)?;
        }
        Ok(())
    }

    /// The frame that is due. While several calls are open the order is free.
    async fn take(&mut self, due: &Frame) -> Result<Frame, Miss> {
        let fits = |frame: &Frame| frame.mtype == due.mtype && frame.seq == due.seq;
        loop {
            if self.open_calls > 1 {
                if let Some(at) = self.early.iter().position(fits) {
                    return Ok(self.early.remove(at));
                }
            } else if !self.early.is_empty() {
                let first = self.early.remove(0);
                if fits(&first) {
                    return Ok(first);
                }
                return Err(format!("{first} came where {due} is due").into());
            }
            match self.next().await? {
                Came::Frame(frame) => self.early.push(*frame),
                came => return Err(format!("{} came where {due} is due", came.describe()).into()),
            }
        }
    }

    /// Checks that nothing more comes; tells whether the stream has ended.
    pub(super) async fn rest(&mut self) -> Result<bool, Miss> {
        if let Some(frame) = self.early.first() {
            return Err(format!("{frame} came, which was not recorded").into());
        }
        match self.next().await? {
            Came::Frame(frame) => Err(format!("{frame} came, which was not recorded").into()),
            Came::End => Ok(true),
            Came::Nothing => Ok(false),
        }
    }

    async fn next(&mut self) -> Result<Came, Miss> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Came::Frame(Box::new(frame)));
            }
            if self.ended {
                return Ok(Came::End);
            }
            match timeout(QUIET, self.read.read_buf(&mut self.buffer)).await {
                Err(_) => return Ok(Came::Nothing),
                // A stream that breaks has ended, too.
                Ok(Ok(0) | Err(_)) => {
                    self.ended = true;
                    if !self.buffer.is_empty() {
                        return Err("the stream ended within a frame".into());
                    }
                }
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Cuts a frame off what was read.
    fn cut(&mut self) -> Result<Option<Frame>, Miss> {
        let frame = Frame::first(&mut *self.unpack, &self.buffer, false)
            .map_err(|error| format!("a frame that cannot be read: {error}"))?;
        if let Some(frame) = &frame {
            self.buffer.advance(frame.bytes.len());
        }
        Ok(frame)
    }
}
