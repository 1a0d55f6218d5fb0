//! Programs that are told to end, and programs that are replaced while they are used.
#![cfg(unix)]

mod attacks;
mod load;
mod program;
mod reboot;
mod signals;
mod systemd;
mod tls;
