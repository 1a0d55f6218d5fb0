//! When it dials: spread out, soon for one, and never in a hot loop.

use std::time::Duration;

use teleport::Peer;
use teleport::session::{Backoff, Redial};
use teleport_tests::exchange::{Exchange, bare_line};
use teleport_tests::pair::settle;
use tokio::time::Instant;

use super::Scene;

/// The most dials of any 100 ms.
pub(super) fn peak(dials: &[Instant]) -> usize {
    let window = Duration::from_millis(100);
    let within = |from: &Instant| {
        let window = *from..*from + window;
        dials.iter().filter(|at| window.contains(at)).count()
    };
    dials.iter().map(within).max().unwrap_or(0)
}

async fn storm(outage: Duration) -> (usize, Duration) {
    let server = Peer::builder().build().unwrap();
    let exchange = Exchange::with_room(&server, 64);
    let mut sessions = Vec::new();
    for seed in 0..1000 {
        let client = Peer::builder().build().unwrap();
        let dial = client.dial_by(exchange.connector());
        sessions.push(dial.redial(Redial::forever().seed(seed)).await.unwrap());
    }
    settle().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = exchange.dials().len();
    exchange.go_down();
    tokio::time::sleep(outage).await;
    exchange.set_up(true);
    let up = Instant::now();
    while sessions.iter().any(|session| !session.is_connected()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (peak(&exchange.dials()[before..]), up.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_clients_of_a_server_that_is_restarted_come_back_spread_out() {
    for (outage, longest) in [(20, 1), (1_000, 15), (20_000, 60)] {
        let (peak, all_back) = storm(Duration::from_millis(outage)).await;
        println!(
            "outage of {outage} ms: at most {peak} of 1000 dials in any 100 ms, all back after \
             {all_back:?}"
        );
        assert!(peak <= 450, "{peak} dials in 100 ms after {outage} ms");
        assert!(all_back <= Duration::from_secs(longest), "{all_back:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_client_is_back_within_half_a_second() {
    for seed in 0..100 {
        let scene = Scene::new(Redial::times(3).seed(seed)).await;
        let started = Instant::now();
        scene.exchange.cut();
        settle().await;
        scene.echo(1).await.unwrap();
        assert!(started.elapsed() <= Duration::from_millis(400));
        assert_eq!(scene.exchange.dials().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fixed_interval_is_as_in_the_original() {
    let scene = Scene::new(Redial::forever().backoff(Backoff::Fixed)).await;
    scene.exchange.go_down();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let dials = scene.exchange.dials();
    assert!((10..=11).contains(&dials.len()), "{}", dials.len());
    for pair in dials[1..].windows(2) {
        let pause = pair[1] - pair[0];
        assert!((100..=102).contains(&pause.as_millis()), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_drops_at_once_is_not_dialled_in_a_hot_loop() {
    let (connector, mut offered) = bare_line(64);
    let client = Peer::builder().build().unwrap();
    let dial = client.dial_by(connector).redial(Redial::forever().seed(3));
    let session = dial.await.unwrap();
    let dropping = tokio::spawn(async move {
        let mut dials = 0;
        let end = Instant::now() + Duration::from_secs(600);
        while let Ok(Some(_far)) = tokio::time::timeout_at(end, offered.recv()).await {
            dials += 1;
        }
        dials
    });
    let dials = dropping.await.unwrap();
    // With pauses up to 30 s there are about 40 in ten minutes.
    assert!((20..80).contains(&dials), "{dials} dials in ten minutes");
    assert!(session.health());

    let (connector, mut offered) = bare_line(64);
    let dial = client.dial_by(connector).redial(Redial::times(4));
    let session = dial.await.unwrap();
    let mut dials = 0;
    while let Some(far) = tokio::select! {
        far = offered.recv() => far,
        () = session.closed() => None,
    } {
        dials += 1;
        drop(far);
    }
    assert_eq!(dials, 1 + 4);
}

#[tokio::test(start_paused = true)]
async fn the_count_starts_again_after_a_connection_that_was_stable() {
    let scene = Scene::new(Redial::times(2).stable_after(Duration::from_secs(5))).await;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(5001)).await;
        scene.exchange.cut();
        settle().await;
        scene.echo(1).await.unwrap();
    }
    // These were not.
    scene.exchange.cut();
    settle().await;
    scene.echo(1).await.unwrap();
    scene.exchange.cut();
    scene.session.closed().await;
}
