use super::{Uri, plain_path};

#[test]
fn plain_paths_need_no_parsing() {
    for path in ["/", "/math/add", "/a.b/c_d-e~f", "/a//b", "/a/"] {
        assert_eq!(plain_path(path.as_bytes()), Some(path.as_bytes()), "{path}");
        assert_eq!(Uri::new(path).path(), path);
    }
    for other in ["", "a", "//a", "/a?b", "/a%20", "/a b", "/a#b", "/\u{e9}"] {
        assert_eq!(plain_path(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn asking_a_plain_uri_for_its_parts_makes_none() {
    let uri = Uri::new("/math/add?author=me");
    assert_eq!(
        (uri.path(), uri.raw_query()),
        ("/math/add", &b"author=me"[..])
    );
    assert!(uri.is_valid() && uri.host().is_empty() && uri.scheme().is_empty());
    assert!(uri.parts.get().is_none());
}

#[test]
fn uris_that_cannot_be_parsed_act_as_empty() {
    for raw in [
        "/a%zz?x=1",
        "/a\nb",
        "1a:b",
        ":a",
        "http://a b/",
        "//h:x/",
        "//[::1/",
        "/a?b\x7f",
        "/a#%",
    ] {
        let uri = Uri::new(raw);
        assert!(!uri.is_valid(), "{raw:?}");
        assert_eq!(
            (uri.path(), uri.raw_query(), uri.as_bytes()),
            ("", &b""[..], raw.as_bytes())
        );
    }
}

#[test]
fn hosts_users_and_zones_are_read_and_written() {
    for (raw, host) in [
        ("//x/y", "x"),
        ("tcp://me:p%40w@h:1/a", "h:1"),
        ("//[fe80::1%25en0]:80/a", "[fe80::1%en0]:80"),
        ("//%E4%BD%A0/a", "\u{4f60}"),
        ("//h:/", "h:"),
    ] {
        let mut uri = Uri::new(raw);
        assert_eq!(uri.host(), host.as_bytes(), "{raw}");
        uri.normalize();
        if !raw.contains("fe80") {
            assert_eq!(uri.as_bytes(), raw.as_bytes());
        }
    }
}

#[test]
fn set_path_keeps_the_query_and_can_be_read_back() {
    for path in [
        "/a b",
        "/a?b#c",
        "//x/y",
        "///x",
        "/\u{4f60}",
        "/%41",
        "*",
        "",
    ] {
        let mut uri = Uri::new("/old?k=v;w");
        uri.set_path(path);
        assert_eq!(
            (uri.path(), uri.raw_query()),
            (path, &b"k=v;w"[..]),
            "{uri}"
        );
    }
    let mut uri = Uri::new("/a%2Fb");
    uri.set_path("/a/b");
    assert_eq!(
        uri.as_bytes(),
        b"/a%2Fb",
        "the escapes that were received stay"
    );
}

#[test]
fn set_raw_query_cannot_start_a_fragment() {
    let mut uri = Uri::new("/a?x=1");
    uri.set_raw_query("y=1#2\n");
    assert_eq!(uri.as_bytes(), b"/a?y=1%232%0A");
    uri.set_raw_query("");
    assert_eq!(uri.as_bytes(), b"/a");
}

#[test]
fn add_query_sorts_and_encodes_anew() {
    let mut uri = Uri::new("/a/b?z=1&a=%20&lost=%zz");
    uri.add_query("m", "x&y=z+%");
    uri.add_query("a", "2");
    assert_eq!(uri.as_bytes(), b"/a/b?a=+&a=2&m=x%26y%3Dz%2B%25&z=1");
    assert_eq!(uri.query("a"), Some(" "));
    assert_eq!(uri.query_all("a").collect::<Vec<_>>(), [&b" "[..], b"2"]);
}

#[test]
fn uris_cross_threads_and_stay_small() {
    fn shared<T: Send + Sync>() {}
    shared::<Uri>();
    assert!(size_of::<Uri>() <= 72);
}
