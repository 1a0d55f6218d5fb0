//! Unix sockets that listen at a path, or at an abstract name.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::{UnixListener, UnixStream};

use super::address::Address;
use super::options::{ListenOptions, SocketOptions};
use super::stream::Stream;

/// How long to wait for room in a backlog before asking again.
const FULL_PAUSE: Duration = Duration::from_millis(5);

/// What Linux says to one who connects to a socket of another type (`EPROTOTYPE`).
const PROTOTYPE: i32 = 91;

/// A unix listener whose file goes with it.
#[derive(Debug)]
pub(super) struct FileListener {
    listener: UnixListener,
    file: File,
}

impl FileListener {
    pub(super) fn bind(path: &Path, kind: Type, options: &ListenOptions) -> io::Result<Self> {
        let (socket, file) = bind(path, kind, options)?;
        socket.set_nonblocking(true)?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, file })
    }

    pub(super) fn adopt(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        Ok(Self {
            listener,
            file: File::others(),
        })
    }

    #[cfg(feature = "graceful")]
    pub(super) fn take_file(&mut self) {
        self.file = File::left(&self.address());
    }

    #[cfg(feature = "graceful")]
    pub(super) const fn owns_file(&self) -> bool {
        self.file.own.is_some()
    }

    pub(super) fn keep_file(&self) {
        self.file.keep();
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    pub(super) fn address(&self) -> Address {
        self.listener.local_addr().map(Address::from).into()
    }
}

impl AsFd for FileListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Connects to a path.
pub(super) async fn connect(path: &Path, options: &SocketOptions) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    options.apply_before(&SockRef::from(&socket))?;
    connect_socket(&socket, path).await?;
    Ok(Stream::new(UnixStream::from_std(socket.into())?))
}

/// Connects a socket to a path, and makes it non-blocking.
pub(super) async fn connect_socket(socket: &Socket, path: &Path) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), not_there(path, &e));
    let address = address(path).map_err(named)?;
    socket.set_nonblocking(true)?;
    loop {
        match socket.connect(&address) {
            Ok(()) => return Ok(()),
            // The backlog is full; the system has no way to wait for room without blocking.
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(FULL_PAUSE).await,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(named(e)),
        }
    }
}

/// Why nobody is reached at a path, and what to do about it.
fn not_there(path: &Path, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "; does somebody listen there?",
        io::ErrorKind::ConnectionRefused => "; nobody listens there any more",
        io::ErrorKind::PermissionDenied => {
            "; this user may not write to the file: let the listening side set unix_mode, and look at \
             the permissions of its folder"
        }
        _ => match error.raw_os_error() {
            Some(PROTOTYPE) => {
                "; the socket there is of the other kind: write `unix:` for \
                                `unixpacket:`, or the other way round"
            }
            _ => "",
        },
    };
    format!("{}: {error}{advice}", path.display())
}

/// Why a path cannot be listened at, and what to do about it.
fn not_here(path: &Path, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "; make its folder first, or write another path",
        io::ErrorKind::PermissionDenied => {
            "; this user may not write to its folder: write a path in another one"
        }
        io::ErrorKind::AddrInUse => "; somebody listens there: stop it, or write another name",
        _ => "",
    };
    format!("{}: {error}{advice}", path.display())
}

/// The address of a path, or of an abstract name with `@` in front.
fn address(path: &Path) -> io::Result<SockAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = path.to_str().and_then(|text| text.strip_prefix('@')) {
        return SockAddr::unix(format!("\0{name}"));
    }
    SockAddr::unix(path)
}

/// Listens at a path. A file that nobody listens at is in the way of nobody.
fn bind(path: &Path, kind: Type, options: &ListenOptions) -> io::Result<(Socket, File)> {
    let named = |e: io::Error| io::Error::new(e.kind(), not_here(path, &e));
    let address = address(path).map_err(named)?;
    let in_files = !path.to_str().is_some_and(|text| text.starts_with('@'));
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    options.socket.apply_before(&SockRef::from(&socket))?;
    match socket.bind(&address) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && in_files => {
            remove_if_stale(path, kind, &address)?;
            socket.bind(&address).map_err(named)?;
        }
        bound => bound.map_err(named)?,
    }
    let file = if in_files {
        File::new(path).map_err(named)?
    } else {
        File::others()
    };
    if let Some(mode) = options.unix_mode.filter(|_| in_files) {
        // Before it listens: nobody comes in through the permissions it was born with.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(named)?;
    }
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(named)?;
    Ok((socket, file))
}

/// Removes the file of a socket that nobody listens at, and nothing else.
fn remove_if_stale(path: &Path, kind: Type, address: &SockAddr) -> io::Result<()> {
    let shown = path.display();
    let taken = |what: String| io::Error::new(io::ErrorKind::AddrInUse, what);
    let found = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(taken(format!(
            "{shown} is there and no socket; remove it or write another path"
        )));
    }
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(address) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!(path = %shown, "replacing the file of a socket that nobody listens at");
            std::fs::remove_file(path)
                .map_err(|e| io::Error::new(e.kind(), format!("{shown} cannot be replaced: {e}")))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // Whatever else the answer, somebody is there.
        _ => Err(taken(format!(
            "somebody listens at {shown} already; stop it or write another path"
        ))),
    }
}

/// The file of a listening socket; removed at the end if it is still the same one.
#[derive(Debug)]
struct File {
    /// The path, and the file's own number on its device.
    own: Option<(PathBuf, (u64, u64))>,
    kept: AtomicBool,
}

impl File {
    fn new(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        // The process may change its folder later.
        let path = std::path::absolute(path)?;
        Ok(Self {
            own: Some((path, (found.dev(), found.ino()))),
            kept: AtomicBool::new(false),
        })
    }

    /// No file, or one that somebody else looks after.
    const fn others() -> Self {
        Self {
            own: None,
            kept: AtomicBool::new(true),
        }
    }

    /// The file of a listener that another process made and left to this one.
    #[cfg(feature = "graceful")]
    fn left(address: &Address) -> Self {
        match address.path().map(Self::new) {
            Some(Ok(file)) => file,
            _ => Self::others(),
        }
    }

    fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let Some((path, number)) = self.own.as_ref() else {
            return;
        };
        if self.kept.load(Ordering::Relaxed) {
            return;
        }
        // A successor may have put its own file there.
        let same = std::fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == *number);
        if same && let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(path = %path.display(), %error, "the file of a socket stays behind");
        }
    }
}
