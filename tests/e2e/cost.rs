//! The time that a reply says its call took.

use std::time::Duration;

use teleport::controller;
use teleport_tests::pair::Pair;
use tokio::time::{advance, sleep};

struct Work;

#[controller]
impl Work {
    async fn wait(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_reply_arrives_not_when_it_is_taken() {
    let pair = Pair::new().await;
    pair.server.route_call(Work).unwrap();
    let short = pair.here.call::<()>("/work/wait", 2).send().await.unwrap();
    pair.here.call::<()>("/work/wait", 5).await.unwrap();
    advance(Duration::from_secs(60)).await;

    let cost = short.reply().await.unwrap().cost;
    assert!(
        (Duration::from_secs(2)..Duration::from_secs(3)).contains(&cost),
        "{cost:?}"
    );
}
