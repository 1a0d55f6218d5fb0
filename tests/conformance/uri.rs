//! Paths of names, joined paths, and received uris against `uri.json`.

use proptest::prelude::*;
use serde_json::Value;
use teleport::message::Uri;
use teleport::message::uri::plain_path;
use teleport::router::{join_path, to_uri_path};
use teleport_tests::vectors::{Check, Pairs, bytes, load, pairs, run, same, text};

#[test]
fn uri_vectors() {
    run("uri", |row| match text(&row["kind"]) {
        "to_uri_path" => same(
            "path",
            to_uri_path(text(&row["input"])),
            text(&row["expected"]),
        ),
        "path_join" => same(
            "path",
            join_path(texts(row, "parts")?),
            text(&row["expected"]),
        ),
        "join" => join(row),
        "parse" => parse(row),
        kind => Err(format!("unknown kind {kind}").into()),
    });
}

fn texts<'a>(row: &'a Value, field: &str) -> Result<Vec<&'a str>, String> {
    let list = row[field].as_array().ok_or_else(|| format!("no {field}"))?;
    Ok(list.iter().map(text).collect())
}

/// A group's prefixes, then the path of the struct's and the method's name, or of the function's.
fn join(row: &Value) -> Check {
    let prefix = texts(row, "prefixes")?
        .into_iter()
        .fold("/".to_owned(), |group, prefix| join_path([&group, prefix]));
    let mut ours = Vec::new();
    for name in texts(row, "registers")? {
        // "(*Math).Add as a function" is a method taken out of its struct.
        let method = name
            .strip_prefix("(*")
            .and_then(|name| name.split_once(")."));
        let mut parts = vec![prefix.clone()];
        match (method, name.split_once('.')) {
            (Some((_, method)), _) => {
                parts.push(to_uri_path(method.split(' ').next().unwrap_or(method)));
            }
            (None, Some((structure, method))) => {
                parts.extend([structure, method].map(to_uri_path));
            }
            (None, None) => parts.push(to_uri_path(name)),
        }
        ours.push(join_path(parts));
    }
    same("paths", ours, texts(row, "expected")?)
}

fn parse(row: &Value) -> Check {
    let input = bytes(row, "input").ok_or("no input")?;
    let mut uri = Uri::new(&input);
    let valid = text(&row["outcome"]) == "ok";
    same("valid", uri.is_valid(), valid)?;
    same("text", uri.as_bytes(), input.as_slice())?;
    let field = |name: &str| bytes(row, name).unwrap_or_default();
    same("path", uri.path_bytes(), field("path"))?;
    same("raw query", uri.raw_query(), field("raw_query"))?;
    same("scheme", uri.scheme().as_bytes(), field("scheme"))?;
    same("host", uri.host(), field("host"))?;
    same("opaque", uri.opaque(), field("opaque"))?;
    same("fragment", uri.fragment(), field("fragment"))?;

    // The original lists the pairs by key.
    let mut ours = listed(&uri);
    ours.sort_by(|(a, _), (b, _)| a.cmp(b));
    same("query", &ours, &pairs(row, "query").unwrap_or_default())?;
    for (key, _) in &ours {
        let first = ours
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_slice());
        same("first value", uri.query_bytes(key), first)?;
    }
    uri.normalize();
    same("text written anew", uri.as_bytes(), field("reserialised"))
}

fn listed(uri: &Uri) -> Pairs {
    uri.query_pairs()
        .map(|(k, v)| (k.to_vec(), v.to_vec()))
        .collect()
}

/// The raw vectors also tell how a uri is written that was parsed, or got further parameters.
#[test]
fn uris_written_anew_match_the_raw_vectors() {
    for row in load("raw")
        .iter()
        .filter(|row| row["uri_reserialised"] == true)
    {
        let (Some(input), Some(wanted)) = (bytes(row, "uri_input"), bytes(row, "uri")) else {
            continue;
        };
        let mut uri = Uri::new(input);
        uri.normalize();
        for (key, value) in pairs(row, "uri_with_query").unwrap_or_default() {
            uri.add_query(key, value);
        }
        assert_eq!(uri, Uri::from(&wanted[..]), "{}", row["name"]);
    }
}

proptest! {
    #[test]
    fn any_text_can_be_taken_apart(raw in "[a-cA-C/:?#%&=;+@0-9\\[\\]\\.é \n]{0,16}") {
        let mut uri = Uri::new(&raw);
        prop_assert_eq!(uri.as_bytes(), raw.as_bytes());
        let before = (uri.path_bytes().to_vec(), uri.raw_query().to_vec(), listed(&uri));
        if plain_path(raw.as_bytes()).is_some() {
            prop_assert_eq!(uri.path(), &raw);
        }
        uri.normalize();
        prop_assert!(uri.is_valid());
        prop_assert_eq!((uri.raw_query(), listed(&uri)), (&before.1[..], before.2));
        let dotted = uri.as_bytes().starts_with(b"./") && !before.0.starts_with(b"./");
        let path = uri.path_bytes();
        let rooted = !uri.host().is_empty() && before.0.is_empty();
        prop_assert!(dotted || rooted || path == before.0, "{path:?}");
    }

    #[test]
    fn paths_survive_being_set(path in "/(\\PC|[/%?#\u{0}\n]){0,12}", query in "[a-z=&%+;]{0,8}") {
        let mut uri = Uri::new("/old");
        uri.set_raw_query(&query);
        uri.set_path(&path);
        let uri = Uri::new(uri.as_bytes());
        prop_assert_eq!((uri.path(), uri.raw_query()), (&path[..], query.as_bytes()));
    }

    #[test]
    fn parameters_survive_being_added(given in proptest::collection::vec(any::<(String, String)>(), 1..5)) {
        let mut uri = Uri::new("/a b");
        for (key, value) in &given {
            uri.add_query(key, value);
        }
        let mut wanted: Pairs =
            given.into_iter().map(|(k, v)| (k.into_bytes(), v.into_bytes())).collect();
        wanted.sort_by(|(a, _), (b, _)| a.cmp(b));
        prop_assert_eq!(listed(&uri), wanted);
        prop_assert_eq!(uri.path(), "/a b");
    }

    #[test]
    fn paths_of_names_are_clean(name in "[A-Ca-c_./é1]{0,12}") {
        let path = to_uri_path(&name);
        prop_assert!(path.starts_with('/') && !path.contains("//"));
        prop_assert!(path.len() == 1 || !path.ends_with('/'));
        prop_assert!(!path.contains(|c: char| c.is_ascii_uppercase()));
    }

    #[test]
    fn joined_paths_are_clean(parts in proptest::collection::vec("[a./]{0,5}", 0..4)) {
        let joined = join_path(&parts);
        prop_assert_eq!(&join_path([&joined]), &joined);
        let rooted = join_path(["/", &joined]);
        prop_assert!(rooted.starts_with('/') && !rooted.split('/').any(|s| s == ".." || s == "."));
    }
}
