//! The listeners that were left to this process, by the one that it replaces or by systemd.
//!
//! What a process inherits is its own and nobody else's, so this is kept for the whole process. It
//! is looked for when somebody first listens, and costs nothing to one that inherits nothing.

use std::env;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use listenfd::ListenFd;
use socket2::{SockAddr, SockRef};
use tokio::sync::OnceCell;

use super::{handover, notify};
use crate::lock;
use crate::socket::{BoundListener, Place};

/// The environment variable that names the socket over which listeners are handed over.
pub(super) const INHERIT: &str = "TELEPORT_INHERIT";

/// How long the process that started this one may take to hand over what it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long no listener must be added until a program counts as ready that listens on its own.
const QUIET: Duration = Duration::from_millis(100);

/// More than any service manager passes; a larger number is a mistake.
const MAX_PASSED: usize = 1024;

static ESTATE: OnceCell<Mutex<Estate>> = OnceCell::const_new();

/// What was left, and what became of it.
#[derive(Debug, Default)]
struct Estate {
    left: Vec<Heirloom>,
    /// How many were taken, and by how many of them connections are taken already.
    claimed: usize,
    serving: usize,
    /// How many listeners there were that nobody left.
    own: usize,
    /// The program waits for its end.
    is_run: bool,
    /// The process that this one replaces.
    predecessor: Option<UnixStream>,
    is_ready: bool,
}

#[derive(Debug)]
struct Heirloom {
    /// The text by which the old process was asked to listen; none from elsewhere.
    asked: Option<String>,
    /// Whether the file of a unix socket is to be looked after.
    owns_file: bool,
    listener: OwnedFd,
}

/// The text that goes with a listener: a mark for the file, and what was asked for.
pub(super) fn text(asked: &str, owns_file: bool) -> String {
    let mark = if owns_file { '+' } else { '-' };
    format!("{mark}{asked}")
}

/// Takes a listener that was left for a place: by the text by which it is asked for, else by where
/// it listens.
pub(crate) async fn claim(place: &Place) -> Option<io::Result<BoundListener>> {
    let estate = estate().await;
    if lock(estate).left.is_empty() {
        return None;
    }
    let addresses = match place {
        Place::Tcp(target, family) => target.resolve_to_listen(*family).await.unwrap_or_default(),
        _ => Vec::new(),
    };
    let asked = place.to_string();
    let by_text = |left: &Heirloom| left.asked.as_deref() == Some(&*asked);
    let by_place = |left: &Heirloom| {
        let at = SockRef::from(&left.listener).local_addr();
        at.is_ok_and(|at| is_at(&at, place, &addresses))
    };
    let found = {
        let mut estate = lock(estate);
        let found = estate.left.iter().position(by_text);
        let found = found.or_else(|| estate.left.iter().position(by_place))?;
        estate.claimed += 1;
        estate.left.remove(found)
    };
    let listener = BoundListener::from_descriptor(found.listener).map(|mut listener| {
        if found.owns_file {
            listener.take_file();
        }
        let address = listener.address();
        tracing::info!(%place, %address, "goes on with a listener that was left");
        listener
    });
    Some(listener)
}

/// Whether a socket listens where it is asked for. All interfaces are all interfaces, whichever
/// family they are written in.
fn is_at(at: &SockAddr, place: &Place, addresses: &[SocketAddr]) -> bool {
    match place {
        Place::Tcp(..) => at.as_socket().is_some_and(|at| {
            addresses.iter().any(|asked| {
                let all = asked.ip().is_unspecified() && at.ip().is_unspecified();
                asked.port() == at.port() && (asked.ip() == at.ip() || all)
            })
        }),
        Place::Unix(path) | Place::UnixPacket(path) => {
            let name = path.as_os_str().as_encoded_bytes().strip_prefix(b"@");
            match at.as_abstract_namespace() {
                Some(at) => name == Some(at),
                None => at.as_pathname() == Some(path),
            }
        }
    }
}

/// Connections are being taken from a listener, one that was claimed or one of this process's own.
pub(crate) fn serves(was_claimed: bool) {
    let Some(estate) = ESTATE.get() else { return };
    let mut this = lock(estate);
    this.serving += usize::from(was_claimed);
    if !was_claimed {
        this.own += 1;
        if this.is_run && !this.is_ready && notify::is_wanted() {
            tokio::spawn(ready_when_quiet(estate, this.own));
        }
    } else if this.has_taken_all() {
        this.say_ready();
    }
}

/// A program that was run before it listened is ready when it listens, and a moment has gone by
/// without another listener.
async fn ready_when_quiet(estate: &'static Mutex<Estate>, own: usize) {
    tokio::time::sleep(QUIET).await;
    let mut this = lock(estate);
    if this.own == own && this.has_taken_all() {
        this.say_ready();
    }
}

/// A program with all its peers is about to run. Without listeners to be taken it is ready, if it
/// was listening before.
pub(super) async fn runs(is_listening: bool) {
    let estate = estate().await;
    let mut this = lock(estate);
    this.is_run = true;
    if this.has_taken_all() && (is_listening || this.predecessor.is_some()) {
        this.say_ready();
    } else if this.own > 0 && !this.is_ready && notify::is_wanted() {
        // It listened on something meanwhile.
        tokio::spawn(ready_when_quiet(estate, this.own));
    }
}

pub(super) async fn ready() {
    let mut estate = lock(estate().await);
    for left in estate.left.drain(..) {
        tracing::info!(asked = left.asked, "a listener that was left is closed");
    }
    estate.say_ready();
}

impl Estate {
    fn has_taken_all(&self) -> bool {
        self.left.is_empty() && self.serving == self.claimed
    }

    fn say_ready(&mut self) {
        if std::mem::replace(&mut self.is_ready, true) {
            return;
        }
        notify::tell("READY=1");
        if let Some(mut predecessor) = self.predecessor.take()
            && let Err(error) = predecessor.write_all(handover::READY)
        {
            tracing::warn!(%error, "the process that is replaced cannot be told");
        }
    }
}

async fn estate() -> &'static Mutex<Estate> {
    ESTATE
        .get_or_init(|| async {
            let look = tokio::task::spawn_blocking(Estate::find);
            Mutex::new(look.await.unwrap_or_default())
        })
        .await
}

impl Estate {
    fn find() -> Self {
        let mut estate = Self::default();
        for listener in passed() {
            estate.left.push(Heirloom {
                asked: None,
                owns_file: false,
                listener,
            });
        }
        let Some(path) = env::var_os(INHERIT).filter(|path| !path.is_empty()) else {
            return estate;
        };
        match inherit(Path::new(&path)) {
            Ok((predecessor, left)) => {
                estate.predecessor = Some(predecessor);
                estate.left.extend(left);
            }
            // Most likely this process was started by one that inherited, for another purpose.
            Err(error) => {
                let path = path.display();
                tracing::warn!(%error, %path, "no listeners were inherited, though {INHERIT} is set");
            }
        }
        estate
    }
}

fn inherit(path: &Path) -> io::Result<(UnixStream, Vec<Heirloom>)> {
    let predecessor = UnixStream::connect(path)?;
    predecessor.set_read_timeout(Some(PATIENCE))?;
    predecessor.set_write_timeout(Some(PATIENCE))?;
    let left = handover::receive(&predecessor)?;
    let left = left.into_iter().map(|(text, listener)| Heirloom {
        owns_file: text.starts_with('+'),
        asked: text.get(1..).map(str::to_owned),
        listener,
    });
    Ok((predecessor, left.collect()))
}

/// The listeners that a service manager passed to this very process.
fn passed() -> Vec<OwnedFd> {
    let number = |name| env::var(name).ok()?.parse::<usize>().ok();
    let (Some(count), Some(pid)) = (number("LISTEN_FDS"), number("LISTEN_PID")) else {
        return Vec::new();
    };
    // The variables are inherited by processes that they do not concern.
    if pid != usize::try_from(std::process::id()).unwrap_or(0) {
        return Vec::new();
    }
    if count > MAX_PASSED {
        tracing::error!(
            count,
            "LISTEN_FDS cannot be right; no listener is taken from it"
        );
        return Vec::new();
    }
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for index in 0..count {
        match passed.take_tcp_listener(index) {
            Ok(Some(listener)) => listeners.push(listener.into()),
            _ => match passed.take_unix_listener(index) {
                Ok(Some(listener)) => listeners.push(listener.into()),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(index, %error, "a descriptor of LISTEN_FDS is no listener");
                }
            },
        }
    }
    listeners
}
