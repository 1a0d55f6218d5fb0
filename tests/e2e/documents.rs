//! The documents: what they link to is there, what they show is compiled, and no page or example
//! stands where nobody finds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files below a folder with this ending, without what is built and what is hidden.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if path.is_dir() {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// The lines of a document that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// What a document links to, as it is written.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line;
        while let Some((_, behind)) = rest.split_once("](") {
            let (target, behind) = behind.split_once(')').unwrap_or((behind, ""));
            found.push(target.to_owned());
            rest = behind;
        }
    }
    found
}

/// The anchors of a document's headings, as they are shown on the web.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.trim().to_lowercase())
    });
    let slug = |heading: String| {
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with a link of a document, if anything is.
fn wrong(document: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => document.to_owned(),
        file => plain(&document.parent().unwrap_or(document).join(file)),
    };
    if !target.exists() {
        return Some(format!("{link}: there is no such file"));
    }
    (!anchor.is_empty() && !anchors(&read(&target)).contains(anchor))
        .then(|| format!("{link}: the document has no such heading"))
}

/// The files that a document links to.
fn linked(document: &Path) -> BTreeSet<PathBuf> {
    let folder = document.parent().unwrap();
    let targets = links(&read(document)).into_iter();
    targets
        .map(|link| plain(&folder.join(link.split('#').next().unwrap_or_default())))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut documents = Vec::new();
    files(&root(), ".md", &mut documents);
    assert!(documents.len() > 15, "{documents:?}");
    let mut seen = 0;
    let mut wrongs = Vec::new();
    for document in &documents {
        let found = links(&read(document));
        seen += found.len();
        let wrong = |link: &String| wrong(document, link);
        let shown = document.strip_prefix(root()).unwrap().display();
        wrongs.extend(
            found
                .iter()
                .filter_map(wrong)
                .map(|e| format!("{shown}: {e}")),
        );
    }
    assert!(seen > 100, "{seen} links");
    assert!(wrongs.is_empty(), "\n{}\n", wrongs.join("\n"));
}

#[test]
fn the_readme_is_short_and_leads_to_every_page_and_every_example() {
    let readme = root().join("README.md");
    let lines = read(&readme).lines().count();
    assert!(lines <= 150, "the README has {lines} lines");

    let mut pages = Vec::new();
    files(&root().join("docs"), ".md", &mut pages);
    let from_readme = linked(&readme);
    let lost: Vec<_> = pages.iter().filter(|p| !from_readme.contains(*p)).collect();
    assert!(lost.is_empty(), "the README does not link {lost:?}");

    let mut examples = Vec::new();
    files(&root().join("examples"), ".rs", &mut examples);
    examples.retain(|path| !path.ends_with("support/lib.rs"));
    assert!(examples.len() > 20, "{examples:?}");
    let index = linked(&root().join("examples/README.md"));
    let lost: Vec<_> = examples.iter().filter(|p| !index.contains(*p)).collect();
    assert!(lost.is_empty(), "examples/README.md does not link {lost:?}");
}

#[test]
fn what_the_pages_show_is_compiled() {
    let support = read(&root().join("tests/support/lib.rs"));
    let mut pages = vec![root().join("README.md")];
    files(&root().join("docs"), ".md", &mut pages);
    for page in pages {
        let shown = page.strip_prefix(root()).unwrap().display().to_string();
        let include = format!("include_str!(\"../../{shown}\")");
        assert!(support.contains(&include), "{shown} is not compiled");
        // What has another name or none is not looked at by rustdoc; `ignore` would be a lie.
        let mut in_code = false;
        for line in read(&page).lines().filter(|line| line.starts_with("```")) {
            in_code = !in_code;
            let language = line.trim_start_matches('`');
            let known = ["rust", "rust,no_run", "sh", "toml", "text", "json", "ini"];
            assert!(
                !in_code || known.contains(&language),
                "{shown}: a block of {language:?}"
            );
        }
    }
}

#[test]
fn every_setting_has_a_method_and_stands_on_the_page() {
    let source = read(&root().join("teleport/src/peer/config.rs"));
    let (settings, _) = source.split_once("impl Default").unwrap();
    let settings: Vec<&str> = settings
        .lines()
        .filter_map(|line| Some(line.trim().strip_prefix("pub ")?.split_once(": ")?.0))
        .collect();
    assert!(settings.len() > 30, "{settings:?}");
    let builder = read(&root().join("teleport/src/peer/builder.rs"));
    let page = read(&root().join("docs/configuration.md"));
    for name in settings {
        let is_set = builder.contains(&format!("        {name}: "))
            || builder.contains(&format!("pub fn {name}("));
        assert!(is_set, "PeerBuilder has no method {name}");
        assert!(
            page.contains(&format!("`{name}`")),
            "docs/configuration.md: {name}"
        );
    }
}

#[test]
fn every_async_function_says_what_dropping_its_future_does() {
    let mut sources = Vec::new();
    files(&root().join("teleport/src"), ".rs", &mut sources);
    let mut seen = 0;
    let mut silent = Vec::new();
    for source in &sources {
        let mut doc = String::new();
        for line in read(source).lines().map(str::trim_start) {
            if line.starts_with("pub async fn") {
                seen += 1;
                if !doc.contains("# Cancel safety") {
                    silent.push(format!("{}: {line}", source.display()));
                }
            } else if line.starts_with("///") || line.starts_with("#[") {
                doc.push_str(line);
                continue;
            }
            doc.clear();
        }
    }
    assert!(seen > 30, "{seen} functions");
    assert!(silent.is_empty(), "\n{}\n", silent.join("\n"));
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let readme = root().join("README.md");
    for link in ["docs/none.md", "docs/tls.md#no-such-heading", "#nowhere"] {
        assert!(wrong(&readme, link).is_some(), "{link}");
    }
    for link in ["docs/tls.md", "https://example.com", "LICENSE", "examples"] {
        assert_eq!(wrong(&readme, link), None);
    }
    assert_eq!(
        links("[a](b) `x` [`c`](d#e)\n```sh\n[no](code)\n```\n[f](g)"),
        ["b", "d#e", "g"]
    );
}
