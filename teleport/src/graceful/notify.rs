//! The service manager, if there is one: a datagram to the socket that `NOTIFY_SOCKET` names.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whether there is a service manager that waits to be told.
pub(super) fn is_wanted() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|place| !place.is_empty())
}

/// Tells the service manager the state of this process. Without one nothing happens.
pub(super) fn tell(state: &str) {
    let Some(place) = env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
        return;
    };
    if let Err(error) = send(&place, state) {
        tracing::warn!(%error, state, "the service manager cannot be told");
    }
}

fn send(place: &OsStr, state: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    // Nobody waits for a service manager that does not read.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address(place)?)?;
    Ok(())
}

/// A path, or a name without a file that begins with `@`.
fn address(place: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = place.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(place)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_state_arrives_at_a_path_and_at_a_name_without_a_file() {
        let folder = crate::graceful::reboot::PrivateFolder::new().unwrap();
        let path = folder.path().join("notify");
        let mut places = vec![(
            path.clone().into_os_string(),
            UnixDatagram::bind(&path).unwrap(),
        )];
        #[cfg(target_os = "linux")]
        {
            let name = format!("@teleport-notify-{}", std::process::id());
            let address = address(OsStr::new(&name)).unwrap();
            places.push((name.into(), UnixDatagram::bind_addr(&address).unwrap()));
        }
        for (place, manager) in places {
            send(&place, "READY=1").unwrap();
            let mut told = [0; 16];
            let n = manager.recv(&mut told).unwrap();
            assert_eq!(told.get(..n).unwrap(), b"READY=1");
        }
        assert!(send(OsStr::new("/nowhere/at/all"), "READY=1").is_err());
    }
}
