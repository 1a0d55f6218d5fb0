//! The floors of the runtime crate: what may name what.
//!
//! Floors 0 to 2 never import upward, so that protocols stay pure and sockets know no peer; the
//! engine (3 to 5) is one building; floor 6 uses the public face alone, as a user would.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FLOORS: &[(&str, u8)] = &[
    ("message", 0),
    ("codec", 0),
    ("xfer", 0),
    ("rerror", 0),
    ("error", 0),
    ("swap", 0),
    ("settings", 0),
    ("proto", 1),
    ("socket", 2),
    ("binder", 3),
    ("router", 3),
    ("context", 3),
    ("plugin", 3),
    ("session", 4),
    ("peer", 5),
    ("graceful", 5),
    ("plugins", 6),
    ("mixer", 6),
];

/// What every floor may name: the door of the macros and the table of contents are no floors.
const TOP_OF_LOWER_HOUSE: u8 = 2;

#[test]
fn no_floor_imports_what_it_must_not() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../teleport/src");
    let files = rust_files(&source);
    assert!(
        files.len() > 10,
        "{} files in {}",
        files.len(),
        source.display()
    );
    let public = Public::read(&fs::read_to_string(source.join("lib.rs")).unwrap(), &files);
    let wrong: Vec<String> = files.iter().flat_map(|file| file.wrongs(&public)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// A source file of the runtime crate, without comments and tests.
struct File {
    name: String,
    /// The modules from the crate's root down to this file.
    module: Vec<String>,
    code: String,
}

impl File {
    fn new(name: String, text: &str) -> Self {
        let path = name.trim_end_matches(".rs");
        let module = path
            .split('/')
            .filter(|part| *part != "lib")
            .map(str::to_owned)
            .collect();
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let code = code
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        Self {
            name,
            module,
            code: code.collect::<Vec<_>>().join("\n"),
        }
    }

    fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    /// All paths from the crate's root that the file names, as lists of segments.
    fn imports(&self) -> Vec<Vec<String>> {
        let up = "super::".repeat(self.module.len().max(1));
        let mut found = Vec::new();
        for root in ["crate::", up.as_str()] {
            for (place, _) in self.code.match_indices(root) {
                let before = self.code[..place].chars().next_back().unwrap_or(' ');
                // What a macro says of `$crate` is said in the crate that uses it.
                if !matches!(before, ':' | '_' | '$') && !before.is_alphanumeric() {
                    let mut rest = &self.code[place + root.len()..];
                    tree(&mut rest, &mut Vec::new(), &mut found);
                }
            }
        }
        found
    }

    fn wrongs(&self, public: &Public) -> Vec<String> {
        let Some(own) = floor_of(self.top()) else {
            return Vec::new();
        };
        let wrong = |path: &[String]| {
            let first = path.first()?;
            let shown = path.join("::");
            let other = floor_of(first);
            if own <= TOP_OF_LOWER_HOUSE && other.is_none_or(|other| other > own) {
                return Some(format!(
                    "{}: floor {own} must not name crate::{shown}, which is above it",
                    self.name
                ));
            }
            if own == 6 && first != self.top() && !public.has(path) {
                return Some(format!(
                    "{}: floor 6 must not name crate::{shown}, which is not public",
                    self.name
                ));
            }
            None
        };
        self.imports()
            .iter()
            .filter_map(|path| wrong(path))
            .collect()
    }
}

/// Reads one branch of an import, or one path in code, into full paths.
fn tree(rest: &mut &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    *rest = rest.trim_start();
    if let Some(inner) = rest.strip_prefix('{') {
        *rest = inner;
        loop {
            *rest = rest.trim_start_matches([',', ' ', '\n']);
            if let Some(behind) = rest.strip_prefix('}') {
                *rest = behind;
                return;
            }
            let before = rest.len();
            tree(rest, prefix, found);
            if rest.len() == before {
                return;
            }
        }
    }
    let end = rest.find(|c: char| c != '_' && c != '*' && !c.is_alphanumeric());
    let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
    if name.is_empty() {
        return;
    }
    *rest = behind;
    prefix.push(name.to_owned());
    match rest.strip_prefix("::") {
        Some(deeper) if !deeper.starts_with('<') => {
            *rest = deeper;
            tree(rest, prefix, found);
        }
        _ => {
            found.push(prefix.clone());
            if let Some(renamed) = rest.strip_prefix(" as ") {
                *rest = renamed.trim_start_matches(|c: char| c == '_' || c.is_alphanumeric());
            }
        }
    }
    prefix.pop();
}

/// What the crate shows to its users.
struct Public {
    /// Public modules and names at the root.
    roots: BTreeSet<String>,
    /// Names that are the crate's own business, as `module::name`.
    hidden: BTreeSet<String>,
}

impl Public {
    fn read(lib: &str, files: &[File]) -> Self {
        let mut roots = BTreeSet::new();
        let lib = File::new("lib.rs".into(), lib).code;
        for item in lib.split("pub ").skip(1) {
            let item = item.split(';').next().unwrap_or_default();
            let mut shown = Vec::new();
            let mut path = item.strip_prefix("use ").unwrap_or_default();
            tree(&mut path, &mut Vec::new(), &mut shown);
            roots.extend(shown.iter().filter_map(|path| path.last()).cloned());
            roots.extend(item.strip_prefix("mod ").map(str::to_owned));
        }
        let mut hidden = BTreeSet::new();
        for file in files {
            for item in file.code.split("pub(crate) ").skip(1) {
                let item = item
                    .split(['(', '{', ';', ':', '<', '='])
                    .next()
                    .unwrap_or_default();
                if let Some(name) = words(item).next_back() {
                    hidden.insert(format!("{}::{name}", file.top()));
                }
            }
        }
        Self { roots, hidden }
    }

    fn has(&self, path: &[String]) -> bool {
        let (Some(first), Some(last)) = (path.first(), path.last()) else {
            return true;
        };
        self.roots.contains(first) && !self.hidden.contains(&format!("{first}::{last}"))
    }
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(|c: char| c != '_' && !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn rust_files(source: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs")
                && path.file_stem().is_some_and(|stem| stem != "tests")
            {
                let name = path
                    .strip_prefix(source)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push(File::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

fn wrongs_of(name: &str, text: &str) -> Vec<String> {
    let lib = "pub mod peer;\npub mod session;\nmod inner;\npub use inner::Seen;\npub use peer::{Peer, PeerConfig};\n";
    let session = File::new(
        "session/calls.rs".into(),
        "pub(crate) struct Slot<'a> { a: u8 }\n",
    );
    File::new(name.into(), text).wrongs(&Public::read(lib, &[session]))
}

#[test]
fn an_import_upward_is_found_however_it_is_written() {
    for text in [
        "use crate::peer::Peer;",
        "use crate::{message::Head, proto::{Env, Proto}};\nfn f(a: crate::session::Session) {}",
        "use crate::{\n    message::Head,\n    peer::{Peer as P, PeerConfig},\n};",
        "use super::super::session::Session;",
        "fn f() { crate::router::path::<u8>() }",
    ] {
        assert!(!wrongs_of("proto/raw.rs", text).is_empty(), "{text}");
    }
    for text in [
        "use crate::{message::*, codec::Codecs, xfer::{self, Filters}};\nuse super::{Env, Pack};",
        "/// See [`crate::peer`].\npub(crate) fn f() {} // crate::peer",
        "#[cfg(test)]\nmod tests {\n    use crate::peer::Peer;\n}",
    ] {
        assert_eq!(wrongs_of("proto/raw.rs", text), Vec::<String>::new());
    }
    assert_eq!(
        wrongs_of("error.rs", "use super::socket::SocketError;").len(),
        1
    );
    assert_eq!(
        wrongs_of("session/calls.rs", "use crate::peer::Peer;").len(),
        0
    );
}

#[test]
fn the_top_floor_sees_the_public_face_alone() {
    for text in [
        "use crate::inner::Thing;",
        "use crate::inner::Seen;",
        "use crate::session::{Session, Slot};",
    ] {
        assert_eq!(wrongs_of("plugins/auth.rs", text).len(), 1, "{text}");
    }
    let text =
        "use crate::{Peer, Seen, plugins::auth::Auth, session::Session};\nuse super::auth::Auth;";
    assert_eq!(wrongs_of("plugins/auth.rs", text), Vec::<String>::new());
}
