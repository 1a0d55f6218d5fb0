//! How listeners go from one process to another: descriptors over a unix socket.
//!
//! First the texts that say which is which, with a mark and a size in front, then the descriptors,
//! some with each byte that follows. Nothing stays open in a third process, whatever else is
//! started meanwhile: the descriptors are closed when a program is executed.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Names the form of what follows.
const MARK: &[u8; 8] = b"teleprt1";

/// What a process says when it is ready.
pub(super) const READY: &[u8] = b"READY\n";

/// How many descriptors go with one byte; the system takes up to 253.
const BATCH: usize = 64;

/// More than any program listens on, and what its texts take at most, in bytes.
const MAX_LISTENERS: usize = 1024;
const MAX_TEXT: usize = 1 << 20;

/// Sends listeners, each with the text by which it will be asked for.
pub(super) fn send(mut stream: &UnixStream, left: &[(String, BorrowedFd<'_>)]) -> io::Result<()> {
    let mut text = Vec::new();
    for (asked, _) in left {
        let length = u16::try_from(asked.len()).map_err(|_| wrong("an address is too long"))?;
        text.extend(length.to_be_bytes());
        text.extend(asked.as_bytes());
    }
    if left.len() > MAX_LISTENERS || text.len() > MAX_TEXT {
        return Err(wrong("there are too many listeners to hand over"));
    }
    let count = u32::try_from(left.len()).map_err(io::Error::other)?;
    let size = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(MARK)?;
    stream.write_all(&count.to_be_bytes())?;
    stream.write_all(&size.to_be_bytes())?;
    stream.write_all(&text)?;
    for batch in left.chunks(BATCH) {
        let descriptors: Vec<_> = batch.iter().map(|(_, fd)| *fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(wrong("the descriptors do not fit into a message"));
        }
        sendmsg(
            stream,
            &[IoSlice::new(b"f")],
            &mut control,
            SendFlags::empty(),
        )?;
    }
    Ok(())
}

/// Receives what [`send`] sent.
pub(super) fn receive(mut stream: &UnixStream) -> io::Result<Vec<(String, OwnedFd)>> {
    let mut mark = [0; 8];
    stream.read_exact(&mut mark)?;
    if mark != *MARK {
        return Err(wrong(
            "the other process hands listeners over in another form",
        ));
    }
    let (count, size) = (read_number(stream)?, read_number(stream)?);
    if count > MAX_LISTENERS || size > MAX_TEXT {
        return Err(wrong("the other process claims to hand over too much"));
    }
    let mut text = vec![0; size];
    stream.read_exact(&mut text)?;
    let mut texts = Vec::new();
    let mut rest = text.as_slice();
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (asked, behind) = behind
            .split_at_checked(length)
            .ok_or_else(|| wrong("an address is cut off"))?;
        texts.push(String::from_utf8_lossy(asked).into_owned());
        rest = behind;
    }
    let mut descriptors = Vec::new();
    while descriptors.len() < count {
        let before = descriptors.len();
        receive_batch(stream, &mut descriptors)?;
        if descriptors.len() == before {
            return Err(wrong(
                "a byte came without the descriptors that belong to it",
            ));
        }
    }
    if !rest.is_empty() || texts.len() != count || descriptors.len() != count {
        return Err(wrong("the listeners and their addresses do not match"));
    }
    Ok(texts.into_iter().zip(descriptors).collect())
}

fn receive_batch(stream: &UnixStream, into: &mut Vec<OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let got = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        flags,
    )?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            into.extend(descriptors);
        }
    }
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(wrong(
            "no descriptors are free for all that was handed over",
        ));
    }
    Ok(())
}

fn read_number(mut stream: &UnixStream) -> io::Result<usize> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    usize::try_from(u32::from_be_bytes(bytes)).map_err(io::Error::other)
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::net::TcpListener;
    use std::os::fd::AsFd as _;
    use std::time::Duration;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        (near, far)
    }

    #[test]
    fn listeners_arrive_with_their_texts_however_many() {
        for count in [0, 1, 63, 64, 65, 150] {
            let listeners: Vec<_> = (0..count)
                .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
                .collect();
            let left: Vec<_> = listeners
                .iter()
                .map(|l| (format!("tcp {}", l.local_addr().unwrap()), l.as_fd()))
                .collect();
            let (near, far) = pair();
            send(&near, &left).unwrap();
            let got = receive(&far).unwrap();
            assert_eq!(got.len(), count);
            for ((asked, fd), listener) in got.into_iter().zip(&listeners) {
                let inherited = TcpListener::from(fd);
                let address = listener.local_addr().unwrap();
                assert_eq!(inherited.local_addr().unwrap(), address);
                assert_eq!(asked, format!("tcp {address}"));
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_nonsense_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let head =
            |count: u32, size: u32| [&MARK[..], &count.to_be_bytes(), &size.to_be_bytes()].concat();
        let cases = [
            b"tele".to_vec(),
            b"something else entirely".to_vec(),
            head(1, 0),
            head(1 << 20, 0),
            head(0, u32::MAX),
            [head(1, 3), b"\0\x09x".to_vec()].concat(),
            [head(1, 3), b"\0\x01xf".to_vec()].concat(),
        ];
        for bytes in cases {
            let (mut near, far) = pair();
            near.write_all(&bytes).unwrap();
            drop(near);
            assert!(receive(&far).is_err(), "{bytes:?}");
        }
        let (near, _far) = pair();
        let long = "x".repeat(70_000);
        assert!(send(&near, &[(long, listener.as_fd())]).is_err());
    }
}
