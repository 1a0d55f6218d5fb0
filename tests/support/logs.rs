//! What the library logs on this thread, kept for looking at.

use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// The target of the lines of calls and pushes.
pub const ACCESS: &str = "teleport::access";

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    pub target: &'static str,
    pub level: Level,
    /// The message, then the fields as `name=value`.
    pub text: String,
}

/// The lines so far.
#[derive(Clone, Debug, Default)]
pub struct Logs(Arc<Mutex<Vec<Line>>>);

impl Logs {
    /// All of them.
    pub fn all(&self) -> Vec<Line> {
        self.0.lock().unwrap().clone()
    }

    /// Those of calls and pushes.
    pub fn access(&self) -> Vec<Line> {
        let mut lines = self.all();
        lines.retain(|line| line.target == ACCESS);
        lines
    }

    /// Those that are about something else.
    pub fn others(&self) -> Vec<Line> {
        let mut lines = self.all();
        lines.retain(|line| line.target != ACCESS);
        lines
    }

    /// Whether a line contains all of these texts.
    pub fn has(&self, texts: &[&str]) -> bool {
        let all = self.0.lock().unwrap();
        all.iter()
            .any(|line| texts.iter().all(|text| line.text.contains(text)))
    }
}

/// Captures until the guard is dropped. `access` says whether calls and pushes are wanted too:
/// they take another way through the library then.
pub fn capture(access: bool) -> (Logs, DefaultGuard) {
    LazyLock::force(&CROWD);
    let logs = Logs::default();
    let subscriber = Capture {
        logs: logs.clone(),
        access,
    };
    (logs, tracing::subscriber::set_default(subscriber))
}

/// While there is one subscriber only, `tracing` has a place that logs for the first time decided
/// upon by the thread that comes by it: were that one of a test that captures nothing, then the
/// place would be off for all. With two more that never go it asks everybody.
static CROWD: LazyLock<[Dispatch; 2]> = LazyLock::new(|| {
    let bystander = || {
        Dispatch::new(Capture {
            logs: Logs::default(),
            access: false,
        })
    };
    [bystander(), bystander()]
});

struct Capture {
    logs: Logs,
    access: bool,
}

impl Subscriber for Capture {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Each thread is asked, so that tests side by side do not see each other.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target.starts_with("teleport") && (self.access || target != ACCESS)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.logs.0.lock().unwrap().push(Line {
            target: event.metadata().target(),
            level: *event.metadata().level(),
            text: text.0,
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}{}", self.0);
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}
