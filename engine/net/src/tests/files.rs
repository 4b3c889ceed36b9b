use std::time::Duration;

use base::{BytesAsked, HubRevision, TokenEvent};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::strangers::stranger_at;
use super::support::{KEY, PATIENCE, PIECE_BYTES, Setup, TestNode, Wish, order, pair};
use crate::limits::LENT_PER_PEER_MAX;
use crate::{BytesError, NetEvent};

fn asked(hash: &str, pieces: usize) -> BytesAsked {
    BytesAsked {
        repository: "here/model".to_owned(),
        hash: hash.to_owned(),
        size: u64::MAX,
        range: 0..(pieces * PIECE_BYTES) as u64,
    }
}

/// All that comes of a file.
async fn all(a: &TestNode, b: &TestNode, asked: &BytesAsked) -> Vec<u8> {
    let pieces = a.handle.bytes(b.id, asked).await.unwrap();
    let pieces: Vec<_> = timeout(PATIENCE, pieces.collect()).await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn bytes_arrive_whole_and_in_order_and_no_more_than_were_asked_for() {
    let (a, b) = pair().await;
    for (asker, lender) in [(&a, &b), (&b, &a)] {
        let bytes = all(asker, lender, &asked("any", 100)).await;
        assert_eq!(bytes.len(), 100 * PIECE_BYTES);
        let mut pieces = (0..).zip(bytes.chunks(PIECE_BYTES));
        assert!(pieces.all(|(number, piece)| piece.iter().all(|byte| *byte == number)));
    }
    let mut some = asked("any", 1);
    some.range.end = 1000;
    assert_eq!(all(&a, &b, &some).await, [0; 1000]);
    assert_eq!(all(&a, &b, &asked("short", 3)).await.len(), 2 * PIECE_BYTES);
    let none = a.handle.bytes(b.id, &asked("none", 1)).await;
    assert_eq!(none.err(), Some(BytesError::NotThere));
}

#[tokio::test]
async fn a_member_says_what_it_has_and_what_it_will_fetch() {
    let (a, b) = pair().await;
    let ask = |repository: &str| HubRevision {
        repository: repository.to_owned(),
        revision: "main".to_owned(),
    };
    assert_eq!(a.handle.download(b.id, &ask("here/model")).await, Ok(()));
    let refused = a.handle.download(b.id, &ask("not/here")).await.unwrap_err();
    assert_eq!(refused.to_string(), "no");
    let held = a.handle.files(b.id, &ask("here/model")).await.unwrap();
    assert_eq!(held.commit, "main");
    assert_eq!(a.handle.files(b.id, &ask("not/here")).await, None);
    assert_eq!(a.handle.linked(), [b.id]);
}

#[tokio::test]
async fn a_reader_that_waits_makes_the_lender_wait_and_holds_up_nothing_else() {
    let (mut a, b) = pair().await;
    let mut held = Vec::new();
    for _ in 0..LENT_PER_PEER_MAX {
        held.push(a.handle.bytes(b.id, &asked("any", 10_000)).await.unwrap());
    }
    let busy = a.handle.bytes(b.id, &asked("any", 1)).await;
    assert_eq!(busy.err(), Some(BytesError::Busy));
    let settled = async {
        loop {
            let before = *b.handler.produced.borrow();
            tokio::time::sleep(Duration::from_millis(200)).await;
            if *b.handler.produced.borrow() == before {
                return before;
            }
        }
    };
    let ahead = timeout(PATIENCE, settled).await.expect("the lender stops");
    // For each stream a window of four pieces, three that wait, and what the connection has taken.
    assert!(ahead <= 12 * LENT_PER_PEER_MAX as u64, "{ahead}");
    let events = a.handle.generate(b.id, &order(Wish::Count, 100)).await;
    let events: Vec<TokenEvent> = timeout(PATIENCE, events.unwrap().collect()).await.unwrap();
    assert_eq!(events.len(), 101);
    let measured = |event| matches!(event, NetEvent::LinkMeasured { .. }).then_some(());
    a.until(measured).await;
    // The places are free again when nobody reads any more.
    held.clear();
    let mut running = b.handler.running.subscribe();
    timeout(PATIENCE, running.wait_for(|running| *running == 0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(all(&a, &b, &asked("any", 2)).await.len(), 2 * PIECE_BYTES);
}

#[tokio::test]
async fn a_lender_that_falls_silent_or_goes_costs_seconds() {
    let (a, b) = pair().await;
    let begin = Instant::now();
    assert_eq!(all(&a, &b, &asked("silent", 1)).await.len(), 0);
    assert!(begin.elapsed() < Duration::from_secs(10));
    let mut pieces = a.handle.bytes(b.id, &asked("any", 10_000)).await.unwrap();
    assert!(pieces.next().await.is_some());
    drop(b);
    let rest = timeout(Duration::from_secs(3), pieces.count()).await;
    assert!(rest.is_ok_and(|rest| rest < 10_000), "the stream ends");
}

#[tokio::test]
async fn who_is_no_member_is_lent_nothing() {
    let member = Setup::alone("member").start().await;
    let stranger = Setup::calling("stranger", member.handle.address());
    let mut stranger = stranger.with_key(Some("guess")).start().await;
    assert_ne!(KEY, "guess");
    stranger.locked().await;
    let refused = stranger.handle.bytes(member.id, &asked("any", 1)).await;
    assert_eq!(refused.err(), Some(BytesError::Unreachable));
    // Also not without asking for a proof.
    let (mut stream, _) = stranger_at(member.handle.address()).await;
    let greeting = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(&greeting.repeat(20)).await.unwrap();
    let mut answer = Vec::new();
    let answered = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(answered.is_ok(), "it hangs up");
    assert!(answer.len() < 200, "no more than a refusal: {answer:?}");
    assert_eq!(*member.handler.produced.borrow(), 0);
}
