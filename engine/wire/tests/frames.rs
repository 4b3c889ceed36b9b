//! Every frame survives the way there, and nothing that is no frame does harm.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends with what it did not expect"
)]

#[path = "frames/arbitrary.rs"]
mod arbitrary;
#[path = "frames/memory.rs"]
mod memory;

use proptest::prelude::*;
use wire::peer::{Events, Generate, PeerFrame};
use wire::step::PlanFrame;
use wire::worker::{FromWorker, ToWorker};
use wire::{Decoder, Frame, encode};

/// Inputs for each parser.
const CASES: u32 = 10_000;

/// A parser may hold this much for an input of at most a few kilobytes: what the input holds, and the room that a list
/// makes for its first elements at each depth.
const HELD_BYTES_MAX: usize = 256 << 10;

fn roundtrip<F: Frame + PartialEq + std::fmt::Debug>(frame: &F) -> Result<(), TestCaseError> {
    let bytes = encode(frame).unwrap();
    let mut decoder = Decoder::new(F::BYTES_MAX);
    decoder.push(&bytes);
    let back = decoder.next::<F>().unwrap();
    prop_assert_eq!(back.as_ref(), Some(frame));
    prop_assert_eq!(decoder.buffered_bytes(), 0);
    Ok(())
}

/// Feeds `bytes` until they end or are refused; what is taken must survive the way back.
fn digest<F: Frame + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Result<(), TestCaseError> {
    let peak = memory::peak_of(|| {
        let mut decoder = Decoder::new(F::BYTES_MAX);
        decoder.push(bytes);
        while let Ok(Some(_)) = decoder.next::<F>() {}
    });
    prop_assert!(peak < HELD_BYTES_MAX, "{peak} bytes for {}", bytes.len());
    let mut decoder = Decoder::new(F::BYTES_MAX);
    decoder.push(bytes);
    while let Ok(Some(frame)) = decoder.next::<F>() {
        roundtrip(&frame)?;
    }
    Ok(())
}

/// Changes to the bytes of a frame: position and value, insertion, cut.
fn mutated(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)], fix_length: bool) -> Vec<u8> {
    for &(at, value, kind) in changes {
        let at = at % (bytes.len() + 1);
        match kind % 4 {
            0 if at < bytes.len() => bytes[at] = value,
            1 => bytes.insert(at, value),
            2 if at > 5 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
            _ => {}
        }
    }
    if fix_length && bytes.len() >= 5 {
        let length = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4] = wire::PROTOCOL_VERSION;
    }
    bytes
}

/// Mutated frames of one kind, and plain noise in a frame's clothes.
fn hostile<F: Frame>(frame: impl Strategy<Value = F>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6);
    prop_oneof![
        3 => (frame, changes, any::<bool>())
            .prop_map(|(frame, changes, fix)| mutated(encode(&frame).unwrap(), &changes, fix)),
        1 => prop::collection::vec(any::<u8>(), 5..200)
            .prop_map(|bytes| mutated(bytes, &[], true)),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

macro_rules! frame_tests {
    ($($module:ident: $frame:ty, $strategy:expr;)*) => {$(
        mod $module {
            use super::*;

            proptest! {
                #[test]
                fn survives_the_way(frame in $strategy) {
                    roundtrip::<$frame>(&frame)?;
                }
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(CASES))]
                #[test]
                fn nothing_hostile_does_harm(bytes in hostile::<$frame>($strategy)) {
                    digest::<$frame>(&bytes)?;
                }
            }
        }
    )*};
}

frame_tests! {
    peer: PeerFrame, arbitrary::peer_frame();
    generate: Generate, arbitrary::generate();
    events: Events, prop::collection::vec(arbitrary::token_event(), 0..6).prop_map(Events);
    failure: base::Failure, arbitrary::failure();
    hub_revision: base::HubRevision, arbitrary::hub_revision();
    held_files: base::HeldFiles, arbitrary::held_files();
    bytes_asked: base::BytesAsked, arbitrary::bytes_asked();
    to_worker: ToWorker, arbitrary::to_worker();
    from_worker: FromWorker, arbitrary::from_worker();
    plan: PlanFrame, arbitrary::plan_frame();
}

#[test]
fn a_list_that_claims_millions_gets_no_room() {
    // Events, 2^21 of them: the claim alone is over the limit of the list.
    let body = [wire::PROTOCOL_VERSION, 3, 0x80, 0x80, 0x80, 0x01];
    let frame = [&(body.len() as u32).to_le_bytes()[..], &body].concat();
    let peak = memory::peak_of(|| {
        let mut decoder = Decoder::new(FromWorker::BYTES_MAX);
        decoder.push(&frame);
        assert!(decoder.next::<FromWorker>().is_err());
    });
    assert!(peak < 1024, "{peak}");
}

#[test]
fn numbers_that_are_none_are_refused() {
    for temperature in [f32::NAN, f32::INFINITY, -0.5] {
        let mut request = arbitrary::plain_request();
        request.sampling.temperature = temperature;
        let bytes = encode(&ToWorker::Submit(request)).unwrap();
        let mut decoder = Decoder::new(ToWorker::BYTES_MAX);
        decoder.push(&bytes);
        assert!(decoder.next::<ToWorker>().is_err(), "{temperature}");
    }
}

proptest! {
    #[test]
    fn an_origin_that_may_change_is_refused(
        mut record in arbitrary::instance_record(),
        revision in "main|[0-9a-f]{39}|[0-9a-f]{41}|[g-z]{40}",
    ) {
        record.origin = Some(base::HubRevision { repository: "trees/oak".into(), revision });
        let bytes = encode(&PeerFrame::Instance(Box::new(record))).unwrap();
        let mut decoder = Decoder::new(PeerFrame::BYTES_MAX);
        decoder.push(&bytes);
        prop_assert!(decoder.next::<PeerFrame>().is_err());
    }
}

proptest! {
    #[test]
    fn models_beyond_the_limit_or_out_of_order_are_refused(
        mut record in arbitrary::node_record(),
        many in any::<bool>(),
    ) {
        let count = if many { base::NodeRecord::MODELS_MAX + 1 } else { 2 };
        let models = (0..count).map(|number| {
            let mut bytes = [0; 32];
            bytes[30..].copy_from_slice(&(number as u16).to_be_bytes());
            base::Fingerprint(bytes)
        });
        record.models = models.collect();
        if !many {
            record.models.reverse();
        }
        let arrives = encode(&PeerFrame::Node(Box::new(record))).is_ok_and(|bytes| {
            let mut decoder = Decoder::new(PeerFrame::BYTES_MAX);
            decoder.push(&bytes);
            decoder.next::<PeerFrame>().is_ok()
        });
        prop_assert!(!arrives);
    }
}
