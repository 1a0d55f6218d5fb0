//! From the names of types and functions to paths.

/// Maps the name of a type or a function to the path it is registered under.
///
/// `__` stands for an underscore and `_` parts segments. In a segment an underscore goes before
/// each capital that follows something else than a capital, then all is lower case. The segments
/// are joined as by [`join_path`], behind a slash. A `.` is taken like `__`.
///
/// | name | path |
/// |---|---|
/// | `AaBb` | `/aa_bb` |
/// | `Aa_Bb` | `/aa/bb` |
/// | `aa_bb` | `/aa/bb` |
/// | `Aa__Bb` | `/aa_bb` |
/// | `aa__bb` | `/aa_bb` |
/// | `ABC_XYZ` | `/abc/xyz` |
/// | `ABcXYz` | `/abc_xyz` |
/// | `ABC__XYZ` | `/abc_xyz` |
///
/// # Examples
///
/// ```
/// use teleport::router::to_uri_path;
///
/// assert_eq!(to_uri_path("GetURLPath"), "/get_urlpath");
/// assert_eq!(to_uri_path("get_user"), "/get/user");
/// ```
#[must_use]
pub fn to_uri_path(name: &str) -> String {
    // A dot keeps the place of an underscore while underscores part the segments, and like one
    // that is all of a segment it falls victim to the cleaning.
    let marked = name.replace("__", ".");
    let mut path = String::with_capacity(marked.len() + 8);
    let mut capital_parts = false;
    for c in marked.chars() {
        match c {
            '_' => {
                path.push('/');
                capital_parts = false;
                continue;
            }
            'A'..='Z' => {
                if capital_parts {
                    path.push('_');
                }
                capital_parts = false;
            }
            _ => capital_parts = c != '.',
        }
        // The first character of a lower case form of several is what the original writes.
        path.extend(c.to_lowercase().next());
    }
    join_path(["/", &path]).replace('.', "_")
}

/// Joins parts of a path with slashes and cleans the result like the path of a file.
///
/// Empty parts, double slashes and `.` go away, `..` takes the segment before it along, and
/// nothing gets above a leading slash. Only parts that are all empty give an empty path.
///
/// # Examples
///
/// ```
/// use teleport::router::join_path;
///
/// assert_eq!(join_path(["/a//b/", "../c", ""]), "/a/c");
/// assert_eq!(join_path(["/", "..", "a"]), "/a");
/// ```
pub fn join_path<I>(parts: I) -> String
where
    I: IntoIterator<Item: AsRef<str>>,
{
    let mut joined = String::new();
    for part in parts {
        let part = part.as_ref();
        if !part.is_empty() {
            if !joined.is_empty() {
                joined.push('/');
            }
            joined.push_str(part);
        }
    }
    if joined.is_empty() {
        joined
    } else {
        clean(&joined)
    }
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => match segments.last() {
                Some(&last) if last != ".." => {
                    segments.pop();
                }
                _ if rooted => {}
                _ => segments.push(segment),
            },
            _ => segments.push(segment),
        }
    }
    match (rooted, segments.is_empty()) {
        (true, _) => format!("/{}", segments.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => segments.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::{join_path, to_uri_path};

    #[test]
    fn names_of_marks_only_give_clean_paths() {
        for (name, path) in [
            ("", "/"),
            ("____", "/"),
            ("_____A", "/a"),
            ("a_____", "/a__"),
            ("______", "/___"),
            ("\u{130}\u{3a3}A", "/i\u{3c3}_a"),
        ] {
            assert_eq!(to_uri_path(name), path, "{name:?}");
        }
    }

    #[test]
    fn joining_without_a_root_stays_relative() {
        assert_eq!(join_path(["a", "../../b"]), "../b");
        assert_eq!(join_path(["a", ".."]), ".");
        assert_eq!(join_path(["", ""]), "");
        assert_eq!(join_path([""; 0]), "");
    }
}
