use std::time::Duration;

use base::{ErrorCode, FinishReason, TokenEvent};
use futures::StreamExt;
use tokio::time::timeout;

use super::support::{PATIENCE, Wish, order, pair};
use crate::limits::{EVENT_QUEUE, GENERATIONS_MAX, STREAM_WINDOW_BYTES};

#[tokio::test]
async fn a_generation_arrives_whole_and_in_order() {
    let (a, b) = pair().await;
    for (asker, asked) in [(&a, &b), (&b, &a)] {
        let events = asker
            .handle
            .generate(asked.id, &order(Wish::Count, 10_000))
            .await
            .unwrap();
        let events: Vec<_> = timeout(PATIENCE, events.collect()).await.unwrap();
        assert_eq!(events.len(), 10_001);
        for (expected, event) in (0..).zip(&events[..10_000]) {
            assert!(matches!(event, TokenEvent::Token { token, .. } if *token == expected));
        }
        assert_eq!(events[10_000], TokenEvent::Finished(FinishReason::Length));
        asked
            .handler
            .running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_failure_to_begin_arrives_as_it_was_said() {
    let (a, b) = pair().await;
    let failure = a
        .handle
        .generate(b.id, &order(Wish::Refuse, 1))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code, ErrorCode::ModelNotFound);
    assert_eq!(
        failure.to_string(),
        "no such instance here (hint: ask elsewhere)"
    );
}

#[tokio::test]
async fn a_broken_generation_ends_without_a_last_event() {
    let (a, b) = pair().await;
    let events = a
        .handle
        .generate(b.id, &order(Wish::Break, 5))
        .await
        .unwrap();
    let events: Vec<_> = timeout(PATIENCE, events.collect()).await.unwrap();
    assert_eq!(events.len(), 5);
}

#[tokio::test]
async fn dropping_a_stream_cancels_it_there() {
    let (a, b) = pair().await;
    let mut running = b.handler.running.subscribe();
    let mut events = a
        .handle
        .generate(b.id, &order(Wish::Endless, 0))
        .await
        .unwrap();
    for _ in 0..1000 {
        assert!(events.next().await.is_some());
    }
    drop(events);
    timeout(PATIENCE, running.wait_for(|running| *running == 0))
        .await
        .unwrap()
        .unwrap();

    // The same before the stream has begun.
    let asking = timeout(
        Duration::from_millis(200),
        a.handle.generate(b.id, &order(Wish::Hang, 0)),
    );
    assert!(asking.await.is_err());
    timeout(PATIENCE, running.wait_for(|running| *running == 0))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_reader_that_waits_makes_the_writer_wait() {
    let (mut a, b) = pair().await;
    let mut events = a
        .handle
        .generate(b.id, &order(Wish::Endless, 0))
        .await
        .unwrap();
    assert!(events.next().await.is_some());
    let settled = async {
        loop {
            let before = *b.handler.produced.borrow();
            tokio::time::sleep(Duration::from_millis(200)).await;
            if *b.handler.produced.borrow() == before {
                return before;
            }
        }
    };
    let ahead = timeout(PATIENCE, settled).await.expect("the writer stops");
    // A token takes about three bytes here, and there is one window and one frame of sixty-four.
    assert!(ahead < u64::from(STREAM_WINDOW_BYTES), "{ahead}");
    // Meanwhile the link lives, other generations run, and this one goes on where it stopped.
    let other = a
        .handle
        .generate(b.id, &order(Wish::Count, 100))
        .await
        .unwrap();
    assert_eq!(timeout(PATIENCE, other.count()).await.unwrap(), 101);
    for expected in 1..2 * ahead {
        let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        assert!(matches!(event, TokenEvent::Token { token, .. } if u64::from(token) == expected));
    }
    assert!(
        a.events
            .try_recv()
            .is_ok_and(|event| matches!(event, crate::NetEvent::LinkMeasured { .. }))
    );
    assert!(a.events.len() < EVENT_QUEUE);
}

#[tokio::test]
async fn a_lost_node_ends_its_streams_at_once() {
    let (a, b) = pair().await;
    let mut events = a
        .handle
        .generate(b.id, &order(Wish::Endless, 0))
        .await
        .unwrap();
    assert!(events.next().await.is_some());
    drop(b);
    let rest = timeout(Duration::from_secs(2), events.count()).await;
    assert!(rest.is_ok(), "the stream ends");
}

#[tokio::test]
async fn there_is_a_limit_to_generations_at_once() {
    let (a, b) = pair().await;
    let mut streams = Vec::new();
    for _ in 0..GENERATIONS_MAX {
        streams.push(
            a.handle
                .generate(b.id, &order(Wish::Endless, 0))
                .await
                .unwrap(),
        );
    }
    let failure = a
        .handle
        .generate(b.id, &order(Wish::Count, 1))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code, ErrorCode::Overloaded);
    streams.pop();
    let again = a
        .handle
        .generate(b.id, &order(Wish::Count, 1))
        .await
        .unwrap();
    assert_eq!(timeout(PATIENCE, again.count()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_stranger_is_not_asked() {
    let (a, _b) = pair().await;
    let failure = a
        .handle
        .generate(base::NodeId([9; 32]), &order(Wish::Count, 1))
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code, ErrorCode::WorkerLost);
}
