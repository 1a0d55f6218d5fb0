//! Losses that the other end announces: it is dialled again soon, and as often as it restarts, while
//! one that fails meets longer and longer pauses.

use std::time::Duration;

use teleport::session::{Backoff, Redial};
use teleport::{Peer, Session};
use teleport_tests::exchange::{Exchange, bare_line};
use teleport_tests::frames::RawFrame;
use teleport_tests::pair::settle;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use super::pauses::peak;
use super::{Echo, Scene};

const LONG: Duration = Duration::from_secs(60);

fn echo_server() -> Peer {
    let server = Peer::builder().build().unwrap();
    server.route_call(Echo::default()).unwrap();
    server
}

/// Puts a new server in the place of one that shuts down.
async fn restart(scene: &mut Scene) {
    let old = std::mem::replace(&mut scene.server, echo_server());
    scene.exchange.serve_by(&scene.server);
    assert!(old.shutdown(LONG).await.is_complete());
}

/// The clients of a server, each a peer of its own.
async fn crowd(count: u64, exchange: &Exchange) -> Vec<Session> {
    let mut sessions = Vec::new();
    for seed in 0..count {
        let client = Peer::builder().build().unwrap();
        let dial = client.dial_by(exchange.connector());
        sessions.push(dial.redial(Redial::forever().seed(seed)).await.unwrap());
    }
    settle().await;
    sessions
}

/// How many of so many clients dial in any 100 ms when their server restarts in good order, and how
/// long it takes until all are back.
async fn storm(count: u64, outage: Duration, restarts: usize) -> (usize, Duration) {
    let mut server = echo_server();
    let exchange = Exchange::with_room(&server, 256);
    let sessions = crowd(count, &exchange).await;
    let before = exchange.dials().len();
    let mut back = Duration::ZERO;
    for _ in 0..restarts {
        let old = std::mem::replace(&mut server, echo_server());
        exchange.serve_by(&server);
        exchange.set_up(outage.is_zero());
        let shutdown = tokio::spawn(old.shutdown(LONG));
        sleep(outage).await;
        exchange.set_up(true);
        let up = Instant::now();
        assert!(shutdown.await.unwrap().is_complete());
        while sessions.iter().any(|session| !session.is_connected()) {
            sleep(Duration::from_millis(5)).await;
        }
        back = back.max(up.elapsed());
    }
    (peak(&exchange.dials()[before..]), back)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_of_a_server_that_says_it_restarts_come_back_spread_out() {
    let ms = Duration::from_millis;
    for (outage, restarts, longest) in [
        (0, 1, ms(420)),
        (0, 5, ms(420)),
        (20, 1, ms(1_000)),
        (1_000, 1, ms(15_000)),
    ] {
        let (peak, back) = storm(1000, ms(outage), restarts).await;
        println!(
            "{restarts} restarts, each {outage} ms: at most {peak} of 1000 dials in any 100 ms, all \
             back after {back:?}"
        );
        assert!(peak <= 450, "{peak} dials in 100 ms after {outage} ms");
        assert!(back <= longest, "{back:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn few_clients_come_back_sooner() {
    for (count, longest) in [(1, 10), (10, 20), (100, 60)] {
        let (_, back) = storm(count, Duration::ZERO, 3).await;
        println!("{count} clients are back after {back:?}");
        assert!(back <= Duration::from_millis(longest), "{count}: {back:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_however_rapid_make_no_pause_longer() {
    let mut scene = Scene::new(Redial::times(3)).await;
    for n in 0..40 {
        restart(&mut scene).await;
        let began = Instant::now();
        assert_eq!(scene.echo(n).await.unwrap(), n);
        assert!(began.elapsed() <= Duration::from_millis(400), "{n}");
        sleep(Duration::from_millis(600)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_prompt_attempt_that_failed_come_the_usual_pauses() {
    let mut scene = Scene::new(Redial::times(3).seed(5)).await;
    let before = scene.exchange.dials().len();
    let old = std::mem::replace(&mut scene.server, echo_server());
    scene.exchange.set_up(false);
    let began = Instant::now();
    old.shutdown(LONG).await;
    scene.session.closed().await;
    let dials: Vec<_> = scene.exchange.dials()[before..]
        .iter()
        .map(|at| *at - began)
        .collect();
    // The prompt one is none of the three.
    assert_eq!(dials.len(), 1 + 3, "{dials:?}");
    let mut before = Duration::ZERO;
    for (at, bound) in dials.iter().zip([10, 400, 800, 1600]) {
        let pause = *at - before;
        assert!(pause <= Duration::from_millis(bound + 2), "{dials:?}");
        before = *at;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_interval_stays_what_it_is() {
    let mut scene = Scene::new(Redial::forever().backoff(Backoff::Fixed)).await;
    let began = Instant::now();
    restart(&mut scene).await;
    scene.echo(1).await.unwrap();
    let took = began.elapsed().as_millis();
    assert!((100..=120).contains(&took), "{took} ms");
}

/// How often a server is dialled in ten minutes that takes every connection, and says this at once.
async fn dials_of(says: Vec<u8>) -> usize {
    let (connector, mut offered) = bare_line(1024);
    let client = Peer::builder().build().unwrap();
    let dial = client.dial_by(connector).redial(Redial::forever().seed(3));
    let session = dial.await.unwrap();
    let mut dials = 0;
    let end = Instant::now() + Duration::from_secs(600);
    while let Ok(Some(mut far)) = tokio::time::timeout_at(end, offered.recv()).await {
        dials += 1;
        far.write_all(&says).await.unwrap();
    }
    assert!(session.health());
    dials
}

#[tokio::test(start_paused = true)]
async fn one_that_only_says_that_it_goes_away_is_not_dialled_in_a_hot_loop() {
    let notice = |meta: &str| RawFrame::reply("~notice", "").meta(meta).bytes();
    for says in [
        notice("X-Notice=going-away"),
        notice("X-Notice=going-away&X-Notice-Spread-Ms=0"),
        notice("X-Notice=gone"),
    ] {
        let dials = dials_of(says).await;
        println!("{dials} dials");
        // One a second is forgiven, and the pauses between are those of a beginning.
        assert!(dials <= 1800, "{dials} dials in ten minutes");
    }
    // What it says of the time is no reason for a pause that is longer, or for none to come.
    for spread in ["-1", "x", "99999999999999999999999", "18446744073709551615"] {
        let meta = format!("X-Notice=going-away&X-Notice-Spread-Ms={spread}");
        assert!(dials_of(notice(&meta)).await > 100, "{spread}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_what_it_took_meets_longer_and_longer_pauses() {
    let meta = "X-Notice=gone&X-Reply-Error=%7B%22code%22%3A503%7D";
    let dials = dials_of(RawFrame::reply("~notice", "").meta(meta).bytes()).await;
    assert!((20..80).contains(&dials), "{dials} dials in ten minutes");
}
