//! Recorded conversations with the original, played again with our peer on either side.
//!
//! Each is played up to three times: a hand-made client says the client's bytes to our server; a
//! hand-made server says the server's bytes to our client, which makes the calls that the frames
//! show; and our client makes the same calls to our server. Where a proxy stood in the middle, ours
//! stands between two hand-made ends, and its client and its backend are ours in turn. All of it on streams in memory and a
//! clock that stands still while anybody has work to do, so that "nothing more comes" is a fact
//! and not a guess about time.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use teleport_tests::vectors::{Check, Miss, Tally, root};

mod client;
mod lives;
mod notices;
mod pair;
mod proxy;
mod relayed;
mod results;
mod rules;
mod script;
mod secret;
mod server;
mod wire;

use rules::Side;
use script::{Leg, Script};

/// How long a replay may take on its own clock.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[test]
fn transcripts() {
    let mut tally = Tally::of("transcripts");
    for file in files() {
        let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let read: Value =
            serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let transcripts = match read {
            Value::Array(list) => list,
            one => vec![one],
        };
        for transcript in &transcripts {
            tally.row(transcript, replay);
        }
    }
    tally.finish();
}

/// Conversations that nobody recorded: what is known of the original makes them, so that the rules for
/// what it gets wrong are tried too. They are no golden bytes.
#[test]
fn conversations_that_are_made_by_rule() {
    let all: Vec<Value> = serde_json::from_str(include_str!("made_by_rule.json")).unwrap();
    let mut tally = Tally::of("conversations made by rule");
    for transcript in &all {
        assert_eq!(transcript["note"], "made by rule");
        tally.row(transcript, replay);
    }
    assert!(tally.left_out().is_empty(), "{:?}", tally.left_out());
    tally.finish();
}

fn files() -> Vec<PathBuf> {
    let directory = root().join("transcripts");
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    files.sort();
    files
}

/// Plays a transcript on every side that is ours to play.
fn replay(transcript: &Value) -> Check {
    if let Some(reason) = rules::not_built(transcript) {
        return Err(Miss::LeftOut(reason));
    }
    let script = Script::of(transcript)?;
    let sides = rules::sides(&script);
    if sides.is_empty() {
        return Err(Miss::LeftOut("both ends are hand-made".to_owned()));
    }
    let mut played = Vec::new();
    for side in sides {
        let (name, result) = match side {
            Side::Server => ("our server", play(server::replay(&script))),
            Side::Client => ("our client", play(client::replay(&script))),
            Side::Both => ("both ends ours", play(pair::replay(&script))),
            Side::Proxy => ("our proxy", play(proxy::replay(&script))),
            Side::ProxysClient => {
                let script = script.of_leg(Leg::Front);
                ("our client", play(client::replay(&script)))
            }
            Side::Backend => {
                let script = script.of_leg(Leg::Back);
                ("our backend", play(server::replay(&script)))
            }
        };
        result.map_err(|miss| match miss {
            Miss::Wrong(text) => Miss::Wrong(format!("{name}: {text}")),
            left_out => left_out,
        })?;
        played.push(name);
    }
    // Not by `println!`, which tests that pass keep to themselves.
    let _ = writeln!(
        std::io::stderr(),
        "  {}: {}",
        script.name,
        played.join(", ")
    );
    Ok(())
}

/// Runs a replay on a clock of its own, which moves on when nobody has anything to do.
fn play(replay: impl Future<Output = Check>) -> Check {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime can be built")
        .block_on(async {
            match tokio::time::timeout(LONGEST, replay).await {
                Ok(check) => check,
                Err(_) => Err("the replay never ends".into()),
            }
        })
}
