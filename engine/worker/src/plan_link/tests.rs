use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base::Secret;
use proptest::prelude::*;
use wire::step::{PlanFrame, StepFrame, StepOutputs, StepRow};

use super::*;

const SECRET: Secret = Secret([7; 32]);

/// A port that was free a moment ago.
fn address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn step(tokens: Vec<u32>) -> PlanFrame {
    let row = StepRow {
        slot: 0,
        start: 0,
        tokens,
        layers: None,
        outputs: StepOutputs::Last,
    };
    PlanFrame::Step(StepFrame {
        free: vec![3],
        recalls: Vec::new(),
        rows: vec![row],
    })
}

/// What comes to a rank: frames, then the end of its link.
type Received = (mpsc::Receiver<PlanFrame>, mpsc::Receiver<LinkError>);

/// Links `world` ranks; what comes to each but 0.
fn linked(world: u32) -> (Links, Vec<Received>) {
    let address = address();
    let ranks: Vec<_> = (1..world)
        .map(|rank| std::thread::spawn(move || connect(address, &SECRET, rank, world).unwrap()))
        .collect();
    let links = listen(address, SECRET, world).unwrap();
    let receivers = ranks.into_iter().map(|rank| {
        let (ended, end) = mpsc::sync_channel(1);
        let frames = receive(rank.join().unwrap(), move |error| {
            let _ = ended.send(error);
        });
        (frames.unwrap(), end)
    });
    (links, receivers.collect())
}

#[test]
fn plans_reach_every_rank_in_order() {
    let (mut links, receivers) = linked(4);
    for n in 0..50 {
        links.send(&step(vec![n; 1 + n as usize])).unwrap();
    }
    for (frames, _) in &receivers {
        for n in 0..50 {
            let frame = frames.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(frame, step(vec![n; 1 + n as usize]));
        }
    }
}

#[test]
fn both_sides_notice_the_end_of_the_other_while_idle() {
    let (links, receivers) = linked(3);
    let (lost, who) = mpsc::sync_channel(2);
    links
        .watch(move |rank| {
            let _ = lost.send(rank);
        })
        .unwrap();
    // The lead's end closes the others' links.
    let began = Instant::now();
    for stream in &links.streams_for_tests()[..1] {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
    let end = receivers[0].1.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(matches!(end, LinkError::Closed), "{end}");
    assert_eq!(who.recv_timeout(Duration::from_secs(5)), Ok(1));
    assert!(began.elapsed() < Duration::from_millis(500));
    assert!(
        receivers[1].1.try_recv().is_err(),
        "the other link is whole"
    );
}

#[test]
fn strangers_neither_pass_nor_hold_up_the_ranks() {
    let address = address();
    let lead = std::thread::spawn(move || listen(address, SECRET, 2));
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(2));
    }
    // Some say nothing, some talk nonsense, some know another secret.
    let silent: Vec<TcpStream> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for n in 0..100_u8 {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(&[n; 64]);
    }
    let mut stranger = TcpStream::connect(address).unwrap();
    let refused = handshake::connect(&mut stranger, &Secret([8; 32]), 1, 2);
    assert!(refused.is_err());
    let began = Instant::now();
    connect(address, &SECRET, 1, 2).unwrap();
    lead.join().unwrap().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    drop(silent);
}

#[test]
fn a_listener_that_does_not_know_the_secret_is_not_believed() {
    let address = address();
    let listener = TcpListener::bind(address).unwrap();
    let impostor = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        handshake::accept(&mut stream, &Secret([8; 32]), 2)
    });
    let mut stream = TcpStream::connect(address).unwrap();
    let refused = handshake::connect(&mut stream, &SECRET, 1, 2);
    assert!(matches!(refused, Err(LinkError::Unproven)), "{refused:?}");
    drop(stream);
    assert!(impostor.join().unwrap().is_err());
}

#[test]
fn a_rank_of_another_world_is_refused() {
    for (rank, world) in [(1, 3), (0, 2), (2, 2)] {
        let address = address();
        let listener = TcpListener::bind(address).unwrap();
        let lead = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            handshake::accept(&mut stream, &SECRET, 2)
        });
        let mut stream = TcpStream::connect(address).unwrap();
        assert!(handshake::connect(&mut stream, &SECRET, rank, world).is_err());
        drop(stream);
        assert!(lead.join().unwrap().is_err(), "rank {rank} of {world}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_stranger_says_is_refused_in_time(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stranger = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stranger.write_all(&bytes).unwrap();
        drop(stranger);
        prop_assert!(handshake::accept(&mut stream, &SECRET, 2).is_err());
    }
}
