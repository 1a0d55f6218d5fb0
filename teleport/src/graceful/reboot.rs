//! Starting the process that goes on, and handing the listeners over to it.

use std::env;
use std::ffi::OsString;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};

use super::handover;
use super::inherit::INHERIT;
use crate::error::{Error, ErrorKind};

/// How long the new process may take to read what is handed over to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the new process is started.
#[derive(Clone, Debug)]
pub(super) struct Successor {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) ready_timeout: Duration,
}

impl Successor {
    /// This program once more. It is looked for now, while it is still where it was started: by the
    /// path that it was started with, so that a link may lead to a newer one later.
    pub(super) fn same() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let started_as = arguments.next().map(PathBuf::from).filter(|path| {
            let is_path = path.parent().is_some_and(|parent| parent != Path::new(""));
            is_path && path.exists()
        });
        let program = match started_as {
            Some(path) => std::path::absolute(path)?,
            None => env::current_exe()?,
        };
        Ok(Self {
            program,
            arguments: arguments.collect(),
            environment: Vec::new(),
            ready_timeout: Duration::from_secs(30),
        })
    }

    fn command(&self, socket: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .env(INHERIT, socket)
            // They spoke of this process.
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_FDS")
            .env_remove("LISTEN_FDNAMES");
        command
    }

    /// Starts the new process, hands the listeners over, and waits until it is ready. Then it is on
    /// its own; dropped or failed before, it is killed.
    pub(super) async fn start(&self, left: Vec<(String, OwnedFd)>) -> Result<u32, Error> {
        let folder = PrivateFolder::new().map_err(|e| failed("no folder can be made", e))?;
        let socket = folder.path().join("handover");
        let listener =
            UnixListener::bind(&socket).map_err(|e| failed("no socket can be made", e))?;
        let program = self.program.display();
        let child = self
            .command(&socket)
            .spawn()
            .map_err(|e| failed(&format!("{program} cannot be started"), e))?;
        let pid = child.id().unwrap_or_default();
        let mut newborn = Newborn(Some(child));
        tracing::info!(%program, pid, listeners = left.len(), "a new process is started");
        let timeout = self.ready_timeout;
        let waited = tokio::time::timeout(timeout, async {
            tokio::select! {
                ready = hand_over(&listener, left) => ready.map_err(|e| {
                    failed(&format!("process {pid} did not take over"), e)
                }),
                status = newborn.ended() => Err(ended(pid, &status)),
            }
        });
        match waited.await {
            Ok(Ok(())) => {
                newborn.let_go();
                Ok(pid)
            }
            Ok(Err(error)) => {
                // Often it lost the connection because it ended; that says more.
                match tokio::time::timeout(Duration::from_millis(100), newborn.ended()).await {
                    Ok(status) => Err(ended(pid, &status)),
                    Err(_) => Err(error),
                }
            }
            Err(_) => {
                let text = format!(
                    "the reboot failed: process {pid} was not ready within {timeout:?}; it is when \
                     it has taken all listeners, or calls teleport::graceful::ready"
                );
                Err(Error::new(ErrorKind::Timeout, text))
            }
        }
    }
}

fn failed(what: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("the reboot failed: {what}")).with_source(error)
}

fn ended(pid: u32, status: &io::Result<ExitStatus>) -> Error {
    let status = match status {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let text = format!("the reboot failed: process {pid} ended before it was ready ({status})");
    Error::new(ErrorKind::Io, text)
}

/// Gives the listeners to whoever connects first, and waits until it says that it is ready.
async fn hand_over(listener: &UnixListener, left: Vec<(String, OwnedFd)>) -> io::Result<()> {
    let (stream, _) = listener.accept().await?;
    let stream = stream.into_std()?;
    let sent = tokio::task::spawn_blocking(move || {
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let left: Vec<_> = left
            .iter()
            .map(|(asked, fd)| (asked.clone(), fd.as_fd()))
            .collect();
        handover::send(&stream, &left)?;
        stream.set_nonblocking(true)?;
        Ok::<_, io::Error>(stream)
    });
    let stream = sent.await.map_err(io::Error::other)??;
    let mut stream = UnixStream::from_std(stream)?;
    let mut said = vec![0; handover::READY.len()];
    stream.read_exact(&mut said).await?;
    if said != handover::READY {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it said {} instead of being ready", said.escape_ascii()),
        ));
    }
    Ok(())
}

/// A process that is not ready yet; it ends with this.
struct Newborn(Option<Child>);

impl Newborn {
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Some(child) => child.wait().await,
            None => std::future::pending().await,
        }
    }

    /// It lives on, whatever becomes of this process.
    fn let_go(&mut self) {
        self.0 = None;
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended already. The runtime collects its status.
            let _ = child.start_kill();
        }
    }
}

/// A folder that only this user may enter; removed with all that is in it.
#[derive(Debug)]
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    pub(super) fn new() -> io::Result<Self> {
        let mut last = None;
        for _ in 0..8 {
            // The state of a hasher is as random as the standard library can be.
            let random = std::hash::RandomState::new().build_hasher().finish();
            let name = format!("teleport-{}-{random:016x}", std::process::id());
            let path = env::temp_dir().join(name);
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "a folder stays behind");
        }
    }
}
