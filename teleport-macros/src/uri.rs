//! From names to paths: the rule by which an identifier becomes a route, and what may stand in a
//! path that is written out.
//!
//! Pure functions over text. The runtime maps names at run time by the same rule; the vectors in
//! `tests/vectors/uri.json` hold both to it.

/// What an underscore in a name means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Underscores {
    /// `_` starts a new segment and `__` stands for one underscore: `get_user` is `/get/user`.
    #[default]
    Split,
    /// Underscores stay where they are: `get_user` is `/get_user`.
    Keep,
}

/// Maps a name to its path.
///
/// `__` marks an underscore, `_` splits segments, each segment goes to snake case.
pub(crate) fn to_uri_path(name: &str, underscores: Underscores) -> String {
    match underscores {
        // The dot stands in for a marked underscore until the segments are joined, and it is
        // treated as a dot by the joining: a segment that is nothing but marks drops out.
        Underscores::Split => {
            let marked = name.replace("__", ".");
            let path = marked.split('_').fold(String::new(), |path, segment| {
                join(&["/", &path, &snake(segment)])
            });
            path.replace('.', "_")
        }
        Underscores::Keep => join(&["/", &snake(name)]),
    }
}

/// Joins parts and cleans the result like a file path: empty parts, `.` and double slashes go,
/// `..` takes a segment back, and nothing leads above `/`.
pub(crate) fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    clean(&parts.join("/"))
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                if kept.last().is_some_and(|last| *last != "..") {
                    kept.pop();
                } else if !rooted {
                    kept.push("..");
                }
            }
            _ => kept.push(segment),
        }
    }
    match (rooted, kept.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}

/// Snake case: an underscore in front of a capital that follows something else, all lower case.
/// Runs of capitals stay together, and only ASCII capitals count.
pub(crate) fn snake(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len() + 4);
    let mut break_before_capital = false;
    for c in segment.chars() {
        if c.is_ascii_uppercase() {
            if break_before_capital {
                text.push('_');
            }
            break_before_capital = false;
        } else {
            break_before_capital = !matches!(c, '.' | '_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// Checks a path that is written out, and gives it as a route: with its slash in front.
///
/// # Errors
///
/// Says what is wrong and what to write instead.
pub(crate) fn literal_path(text: &str) -> Result<String, String> {
    check_characters("a path", text)?;
    let rooted = format!("/{}", text.strip_prefix('/').unwrap_or(text));
    let cleaned = clean(&rooted);
    if cleaned == rooted {
        return Ok(cleaned);
    }
    Err(format!(
        "routes match exactly, and `{text}` is not a clean path; write `{cleaned}`"
    ))
}

/// Checks what goes in front of the paths of a block. It is cleaned when the paths are joined.
///
/// # Errors
///
/// Says what is wrong and what to write instead.
pub(crate) fn check_prefix(text: &str) -> Result<(), String> {
    check_characters("a prefix", text)
}

/// Checks a name that stands in for an identifier.
///
/// # Errors
///
/// Says what is wrong and what to write instead.
pub(crate) fn check_name(text: &str) -> Result<(), String> {
    check_characters("a name", text)?;
    if text.contains('/') {
        return Err(format!(
            "`{text}` is a path, and a name is mapped to one; write `prefix = \"..\"` on the block, or \
             `#[route(\"{text}\")]` on a method"
        ));
    }
    Ok(())
}

fn check_characters(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} may not be empty; leave it out"));
    }
    if text.trim() != text {
        return Err(format!(
            "{what} has no space at its ends; write `{}`",
            text.trim()
        ));
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(format!(
            "{what} holds no control character; remove {:?}",
            c.to_string()
        ));
    }
    if let Some(at) = text.find(['?', '#']) {
        let (path, rest) = text.split_at(at);
        return Err(format!(
            "{what} has no query and no fragment: the caller adds them; write `{path}` without `{rest}`"
        ));
    }
    if let Some(escape) = percent_escape(text) {
        return Err(format!(
            "routes match the decoded path; write the character itself instead of `{escape}`"
        ));
    }
    Ok(())
}

/// The first `%` in front of two hexadecimal digits, with them.
fn percent_escape(text: &str) -> Option<&str> {
    text.match_indices('%').find_map(|(at, _)| {
        let escape = text.get(at..at + 3)?;
        let digits = escape.get(1..)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then_some(escape)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_map_by_the_table() {
        let table = [
            ("AaBb", "/aa_bb"),
            ("Aa_Bb", "/aa/bb"),
            ("aa_bb", "/aa/bb"),
            ("Aa__Bb", "/aa_bb"),
            ("aa__bb", "/aa_bb"),
            ("ABC_XYZ", "/abc/xyz"),
            ("ABcXYz", "/abc_xyz"),
            ("ABC__XYZ", "/abc_xyz"),
            ("get_user", "/get/user"),
            ("GetUser", "/get_user"),
            ("_", "/"),
            ("__", "/"),
            ("_private", "/private"),
        ];
        for (name, path) in table {
            assert_eq!(to_uri_path(name, Underscores::Split), path, "{name}");
        }
    }

    #[test]
    fn kept_underscores_stay_and_case_still_goes_down() {
        let table = [
            ("get_user", "/get_user"),
            ("get__user", "/get__user"),
            ("GetUser", "/get_user"),
            ("Aa_Bb", "/aa_bb"),
            ("add", "/add"),
        ];
        for (name, path) in table {
            assert_eq!(to_uri_path(name, Underscores::Keep), path, "{name}");
        }
    }

    #[test]
    fn join_never_leads_above_the_root() {
        assert_eq!(join(&["/", "../..", "a"]), "/a");
        assert_eq!(join(&["/", "v1/", "/math"]), "/v1/math");
        assert_eq!(join(&[""]), "");
        assert_eq!(join(&["a", ".."]), ".");
        assert_eq!(join(&["a", "../../b"]), "../b");
    }

    #[test]
    fn clean_literals_pass_with_a_slash_in_front() {
        for (text, path) in [
            ("a/b", "/a/b"),
            ("/a/b", "/a/b"),
            ("/", "/"),
            ("/a b/%", "/a b/%"),
        ] {
            assert_eq!(literal_path(text).as_deref(), Ok(path));
        }
    }

    #[test]
    fn unclean_literals_are_refused_with_what_to_write() {
        let table = [
            ("", "leave it out"),
            ("/a/", "write `/a`"),
            ("a//b", "write `/a/b`"),
            ("/a/../b", "write `/b`"),
            ("//a", "write `/a`"),
            ("/a?x=1", "write `/a` without `?x=1`"),
            ("/a#b", "write `/a` without `#b`"),
            ("/a%20b", "instead of `%20`"),
            (" /a", "write `/a`"),
            ("/a\n/b", "remove \"\\n\""),
        ];
        for (text, advice) in table {
            let error = literal_path(text).err().unwrap_or_default();
            assert!(error.contains(advice), "{text:?}: {error}");
        }
    }
}
