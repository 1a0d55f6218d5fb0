//! The log line of every call and push.
//!
//! Lines go to the target `teleport::access`: level INFO, or WARN when the work was slow or ended
//! in an error. Nothing is put together while nobody listens.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use crate::message::{Head, Meta, meta};
use crate::rerror::Rerror;
use crate::socket::Address;

pub(super) const TARGET: &str = "teleport::access";

/// How much of a body a line shows, in bytes.
const SHOWN_BODY: usize = 4096;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    CallLaunch,
    CallHandle,
    PushLaunch,
    PushHandle,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::CallLaunch => "CALL-LAUNCH",
            Self::CallHandle => "CALL-HANDLE",
            Self::PushLaunch => "PUSH-LAUNCH",
            Self::PushHandle => "PUSH-HANDLE",
        }
    }
}

/// How a peer wants its lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) count_time: bool,
    pub(crate) print_detail: bool,
    /// What takes longer is slow; zero: nothing is.
    pub(crate) slow: Duration,
}

/// Whether anybody listens.
#[inline]
pub(super) fn enabled() -> bool {
    tracing::event_enabled!(target: TARGET, tracing::Level::INFO)
        || tracing::event_enabled!(target: TARGET, tracing::Level::WARN)
}

/// What is kept of a message until its line is written.
#[derive(Debug)]
pub(super) struct Record {
    kind: Kind,
    style: Style,
    real_ip: Option<String>,
    uri: String,
    seq: String,
    started: Option<Instant>,
    ended: Option<Instant>,
    sent: usize,
    received: usize,
    detail: String,
}

impl Record {
    /// Begins a line about a message that came in, or is about to go out.
    pub(super) fn new(kind: Kind, style: Style, head: &Head<'_>, body: &[u8], size: usize) -> Self {
        let inbound = matches!(kind, Kind::CallHandle | Kind::PushHandle);
        let real_ip = meta::find_encoded(head.meta, meta::REAL_IP)
            .map(|ip| printable(&ip))
            .filter(|ip| !ip.is_empty());
        let mut record = Self {
            kind,
            style,
            real_ip,
            uri: printable(head.uri),
            seq: printable(head.seq),
            started: (style.count_time || !style.slow.is_zero()).then(Instant::now),
            ended: None,
            sent: if inbound { 0 } else { size },
            received: if inbound { size } else { 0 },
            detail: String::new(),
        };
        record.add_detail(if inbound { "recv" } else { "send" }, head, body);
        record
    }

    pub(super) fn set_sent(&mut self, size: usize) {
        self.sent = size;
    }

    /// Sets when the work was over, if not just now.
    pub(super) fn set_ended(&mut self, ended: Instant) {
        self.ended = Some(ended);
    }

    pub(super) fn set_received(&mut self, size: usize) {
        self.received = size;
    }

    /// Whether the line shows metadata and bodies.
    pub(super) fn is_detailed(&self) -> bool {
        self.style.print_detail
    }

    /// Adds metadata and body of another message, if the peer wants that.
    pub(super) fn add_detail(&mut self, what: &str, head: &Head<'_>, body: &[u8]) {
        if !self.style.print_detail {
            return;
        }
        let _ = write!(self.detail, " {what}=[meta={} body=", printable(head.meta));
        let shown = body.get(..SHOWN_BODY).unwrap_or(body);
        self.detail.push_str(&printable(shown));
        if shown.len() < body.len() {
            let _ = write!(self.detail, "... ({} bytes in all)", body.len());
        }
        self.detail.push(']');
    }

    /// Adds what is known of a message by its parts.
    pub(super) fn add_parts(&mut self, what: &str, meta: &Meta, body: &[u8]) {
        if self.style.print_detail {
            let encoded = meta.encoded();
            self.add_detail(
                what,
                &Head {
                    meta: &encoded,
                    ..Head::default()
                },
                body,
            );
        }
    }

    /// Writes the line.
    pub(super) fn write(self, remote: &Address, error: Option<&Rerror>) {
        let ended = self.ended;
        let cost = self.started.map(|started| {
            ended
                .unwrap_or_else(Instant::now)
                .saturating_duration_since(started)
        });
        let slow = !self.style.slow.is_zero() && cost.is_some_and(|c| c >= self.style.slow);
        let pace = match (slow, cost.is_some()) {
            (true, _) => " (slow)",
            (false, true) => " (fast)",
            (false, false) => "",
        };
        let cost = cost
            .filter(|_| self.style.count_time)
            .map(|cost| format!(" cost={cost:?}"));
        let cost = cost.unwrap_or_default();
        let error = error.map(|e| format!(" error={}", printable(e.to_string().as_bytes())));
        let error = error.unwrap_or_default();
        let real = self
            .real_ip
            .map(|ip| format!(" real_ip={ip}"))
            .unwrap_or_default();
        let Self {
            kind,
            uri,
            seq,
            sent,
            received,
            detail,
            ..
        } = self;
        let kind = kind.name();
        let line = format_args!(
            "{kind} {remote}{real} uri={uri} seq={seq} sent={sent} recv={received}{cost}{pace}\
             {error}{detail}"
        );
        if slow || !error.is_empty() {
            tracing::warn!(target: TARGET, "{line}");
        } else {
            tracing::info!(target: TARGET, "{line}");
        }
    }
}

/// Bytes of the other peer's as one printable line.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(bytes).chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable(b"a\x1b[31m\r\nb"), "a\\u{1b}[31m\\r\\nb");
        assert_eq!(printable("\u{2028}".as_bytes()), "\\u{2028}");
        assert_eq!(printable("é ok".as_bytes()), "é ok");
    }
}
