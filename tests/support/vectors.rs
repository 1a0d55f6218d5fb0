//! Golden vectors: loading a file of rows, and keeping the tally of what became of each.
//!
//! The files are taken from `vectors/` in the directory that the environment variable
//! `TELEPORT_CONFORMANCE` names, else from the copy that stands beside this crate.

use std::any::Any;
use std::fmt::Debug;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Bytes of keys and values, in order.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Why a row did not pass.
#[derive(Debug)]
pub enum Miss {
    /// The row is of a shape that cannot bind us, for the reason given.
    LeftOut(String),
    /// We do something else than the row says.
    Wrong(String),
}

impl<T: Into<String>> From<T> for Miss {
    fn from(text: T) -> Self {
        Self::Wrong(text.into())
    }
}

/// What checking a row comes to.
pub type Check = Result<(), Miss>;

/// Says that a row cannot bind us, and why.
pub fn left_out(reason: impl Into<String>) -> Check {
    Err(Miss::LeftOut(reason.into()))
}

/// Compares what we make of a row with what it wants.
pub fn same<A: Debug + PartialEq<B>, B: Debug>(what: &str, ours: A, wanted: B) -> Check {
    if ours == wanted {
        return Ok(());
    }
    let mut text = format!("{what}: {ours:?} instead of {wanted:?}");
    if let Some((end, _)) = text.char_indices().nth(600) {
        text.truncate(end);
        text.push_str("..");
    }
    Err(Miss::Wrong(text))
}

/// The directory that holds `vectors` and `transcripts`.
pub fn root() -> PathBuf {
    std::env::var_os("TELEPORT_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).to_owned(),
        PathBuf::from,
    )
}

/// Loads the rows of a vector file by its name without ending.
///
/// # Panics
///
/// When there is no such file, or it is no list of JSON objects.
pub fn load(name: &str) -> Vec<Value> {
    let path = root().join("vectors").join(name).with_extension("json");
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Loads a vector file, checks every row, prints the tally and fails when a row is wrong.
///
/// # Panics
///
/// When a row is wrong; the message lists all that are.
pub fn run(name: &str, check: impl Fn(&Value) -> Check) {
    let mut tally = Tally::new(name);
    for row in load(name) {
        tally.row(&row, &check);
    }
    tally.finish();
}

/// What became of the rows of one file.
#[derive(Debug)]
pub struct Tally {
    file: String,
    passed: usize,
    left_out: Vec<(String, String)>,
    wrong: Vec<(String, String)>,
}

impl Tally {
    /// Starts the tally of a vector file, named without ending.
    pub fn new(name: &str) -> Self {
        Self::of(format!("{name}.json"))
    }

    /// Starts a tally under a title.
    pub fn of(title: impl Into<String>) -> Self {
        Self {
            file: title.into(),
            passed: 0,
            left_out: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Checks one row; a panic counts as wrong.
    pub fn row(&mut self, row: &Value, check: impl FnOnce(&Value) -> Check) {
        let name = row["name"]
            .as_str()
            .unwrap_or("(a row without a name)")
            .to_owned();
        match catch_unwind(AssertUnwindSafe(|| check(row))) {
            Ok(Ok(())) => self.passed += 1,
            Ok(Err(Miss::LeftOut(reason))) => self.left_out.push((name, reason)),
            Ok(Err(Miss::Wrong(text))) => self.wrong.push((name, text)),
            Err(panic) => self
                .wrong
                .push((name, format!("panic: {}", panic_text(&*panic)))),
        }
    }

    /// The rows that were left out, each with the reason.
    pub fn left_out(&self) -> &[(String, String)] {
        &self.left_out
    }

    /// One line with the counts, then one for each row left out.
    pub fn summary(&self) -> String {
        let (passed, left_out) = (self.passed, self.left_out.len());
        let total = passed + left_out + self.wrong.len();
        let mut text = format!(
            "{}: {passed} of {total} passed, {left_out} left out",
            self.file
        );
        for (name, reason) in &self.left_out {
            text.push_str(&format!("\n  left out: {name}: {reason}"));
        }
        text
    }

    /// Prints the tally.
    ///
    /// # Panics
    ///
    /// When a row is wrong; the message lists all that are.
    pub fn finish(self) {
        // Not by `println!`, which tests that pass keep to themselves.
        let _ = writeln!(std::io::stderr(), "{}", self.summary());
        let wrong: Vec<_> = self
            .wrong
            .iter()
            .map(|(name, text)| format!("\n  {name}: {text}"))
            .collect();
        assert!(
            wrong.is_empty(),
            "{} rows of {} are wrong:{}",
            wrong.len(),
            self.file,
            wrong.concat()
        );
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match panic.downcast_ref::<String>() {
        Some(text) => text,
        None => panic
            .downcast_ref::<&str>()
            .copied()
            .unwrap_or("of no text"),
    }
}

/// A text of a row, or the bytes of its `_hex` twin; `None` when the row has neither.
///
/// # Panics
///
/// When the twin is no hex.
pub fn bytes(row: &Value, field: &str) -> Option<Vec<u8>> {
    match row[field].as_str() {
        Some(text) => Some(text.as_bytes().to_vec()),
        None => row[format!("{field}_hex")].as_str().map(unhex),
    }
}

/// Pairs of a row, or of its `_hex` twin; `None` when the row has neither.
///
/// # Panics
///
/// When a pair is no list of two texts.
pub fn pairs(row: &Value, field: &str) -> Option<Pairs> {
    let read = |list: &Vec<Value>, read: fn(&str) -> Vec<u8>| {
        list.iter()
            .map(|pair| (read(text(&pair[0])), read(text(&pair[1]))))
            .collect()
    };
    match row[field].as_array() {
        Some(list) => Some(read(list, |text| text.as_bytes().to_vec())),
        None => row[format!("{field}_hex")]
            .as_array()
            .map(|list| read(list, unhex)),
    }
}

/// The text of a value.
///
/// # Panics
///
/// When it is something else.
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// The bytes of a text of hex digits.
///
/// # Panics
///
/// When the text is something else.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of hex digits");
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hex digits are ASCII");
            u8::from_str_radix(pair, 16).expect("only hex digits")
        })
        .collect()
}

/// The lower hex digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
