//! What becomes of pushes: each is delivered at most once, in order, or somebody is told.

use bytes::Bytes;
use teleport::Peer;
use teleport::codec::Raw;
use teleport::session::Redial;
use teleport_tests::exchange::bare_line;
use teleport_tests::frames::read_frame;
use teleport_tests::pair::settle;

use super::Scene;

#[tokio::test(start_paused = true)]
async fn pushes_wait_for_the_next_connection_in_their_order() {
    let mut scene = Scene::new(Redial::forever()).await;
    for round in 0..3 {
        scene.exchange.cut();
        settle().await;
        for n in 0..5 {
            scene
                .session
                .push("/note/it", round * 10 + n)
                .await
                .unwrap();
        }
        // What was written is not sent again, so it has to be read.
        settle().await;
    }
    for round in 0..3 {
        for n in 0..5 {
            assert_eq!(scene.notes.recv().await, Some(round * 10 + n));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pushes_that_were_queued_and_not_written_go_first_on_the_next_connection() {
    let (connector, mut offered) = bare_line(40);
    let client = Peer::builder().build().unwrap();
    let dial = client.dial_by(connector).redial(Redial::forever());
    let session = dial.await.unwrap();
    // The first is 26 bytes long: it fits, and the second does not.
    for n in 0..10_u8 {
        session
            .push("/note/it", Raw(Bytes::from(vec![n; 4])))
            .await
            .unwrap();
    }
    settle().await;
    assert!(session.queued_bytes() > 0);
    drop(offered.recv().await.unwrap());
    settle().await;
    let late = session.push("/note/it", Raw(Bytes::from(vec![10; 4])));
    let read = async {
        let mut far = offered.recv().await.unwrap();
        let mut got = Vec::new();
        while got.len() < 10 {
            let frame = read_frame(&mut far).await.unwrap().unwrap();
            got.push((frame.body[0], frame.seq));
        }
        got
    };
    let (late, got) = tokio::join!(late, read);
    late.unwrap();
    // What was written whole is not sent again, and the sequence goes on.
    let numbers: Vec<_> = got.iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    let seqs: Vec<_> = got.iter().map(|(_, seq)| seq.as_str()).collect();
    assert_eq!(seqs, ["K", "L", "M", "N", "O", "P", "Q", "R", "S", "T"]);
}

#[tokio::test(start_paused = true)]
async fn pushes_that_are_lost_with_their_session_are_counted() {
    let (connector, mut offered) = bare_line(40);
    let client = Peer::builder().build().unwrap();
    let dial = client.dial_by(connector).redial(Redial::times(1));
    let session = dial.await.unwrap();
    let mut events = session.events();
    for n in 0..4 {
        session.push("/note/it", n).await.unwrap();
    }
    settle().await;
    let far = offered.recv().await.unwrap();
    offered.close();
    drop((far, offered));
    loop {
        use teleport::session::SessionEventKind::Closed;
        if let Closed { pushes_lost, .. } = super::next(&mut events).await {
            assert_eq!(pushes_lost, 3);
            break;
        }
    }
}
