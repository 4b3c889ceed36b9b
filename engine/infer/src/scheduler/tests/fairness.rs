//! Whose turn it is: clients share evenly, more urgent requests go sooner, and each one comes to its turn.

use super::*;

fn of(client: u64, priority: Priority, request: TokenRequest) -> TokenRequest {
    TokenRequest {
        client: ClientId(client),
        priority,
        ..request
    }
}

fn one_slot() -> Limits {
    Limits {
        slots_max: 1,
        queue_max: 64,
        ..LIMITS
    }
}

/// Ids in the order in which the requests ended.
fn ends(rig: &Rig) -> Vec<u64> {
    let last = rig.events.iter().filter(|(_, event)| event.is_last());
    last.map(|(id, _)| id.0).collect()
}

#[test]
fn who_has_many_waiting_does_not_hold_up_anothers_first() {
    let mut rig = Rig::new(one_slot());
    for id in 0..40 {
        rig.submit(of(1, Priority::Usual, request(id, &[1, 2, 3], 5)));
    }
    rig.submit(of(2, Priority::Usual, request(100, &[1, 2], 5)));
    rig.submit(of(2, Priority::Usual, request(101, &[1, 2], 5)));
    rig.run();
    let ends = ends(&rig);
    let place = |id| ends.iter().position(|end| *end == id).unwrap();
    assert!(place(100) <= 2, "{ends:?}");
    assert!(place(101) <= 4, "{ends:?}");
    let first: Vec<u64> = ends.iter().copied().filter(|id| *id < 100).collect();
    assert!(first.is_sorted(), "a client's own come in their order");
}

#[test]
fn clients_share_tokens_and_not_requests() {
    let mut rig = Rig::new(one_slot());
    // One asks for little at a time, the other for much.
    for id in 0..30 {
        rig.submit(of(1, Priority::Usual, request(id, &[1; 4], 6)));
    }
    for id in 100..110 {
        rig.submit(of(2, Priority::Usual, request(id, &[1; 40], 60)));
    }
    let mut shares = [0_usize; 2];
    for id in ends_after(&mut rig, 40) {
        shares[usize::from(id >= 100)] += if id >= 100 { 100 } else { 10 };
        let [little, much] = shares;
        assert!(little.abs_diff(much) <= 110 || little == 300, "{shares:?}");
    }
}

fn ends_after(rig: &mut Rig, count: usize) -> Vec<u64> {
    while ends(rig).len() < count && rig.step() {}
    ends(rig)
}

#[test]
fn urgent_requests_go_before_patient_ones_which_come_too() {
    let mut rig = Rig::new(one_slot());
    rig.submit(of(9, Priority::Usual, request(99, &[1], 5)));
    for id in 0..20 {
        rig.submit(of(1, Priority::Patient, request(id, &[1; 3], 5)));
        rig.submit(of(2, Priority::Urgent, request(100 + id, &[1; 3], 5)));
    }
    rig.run();
    let ends = ends(&rig);
    let patient: Vec<usize> = (0..20)
        .map(|id| ends.iter().position(|end| *end == id).unwrap())
        .collect();
    let urgent_before_last = ends[..=patient[1]].iter().filter(|id| **id >= 100).count();
    assert!(urgent_before_last >= 15, "{ends:?}");
    assert!(patient[0] < 20, "a patient one is not last: {ends:?}");
}

#[test]
fn newcomers_without_end_do_not_keep_anybody_waiting() {
    let mut rig = Rig::new(one_slot());
    // A client that has had its share for long, and then waits with a request that takes all the room there is.
    for id in 0..5 {
        rig.submit(of(1, Priority::Usual, request(id, &[1; 50], 100)));
    }
    ends_after(&mut rig, 5);
    rig.submit(of(2, Priority::Usual, request(50, &[1], 50)));
    rig.submit(of(1, Priority::Patient, request(60, &[1; 50], 150)));
    let mut next = 1000;
    for _ in 0..20_000 {
        while rig.scheduler.load().waiting < 5 {
            rig.submit(of(next, Priority::Urgent, request(next, &[1; 2], 2)));
            next += 1;
        }
        rig.step();
        if ends(&rig).contains(&60) {
            return;
        }
    }
    panic!("it never came to its turn");
}

#[test]
fn one_client_leaves_places_in_the_queue_to_others() {
    let mut rig = Rig::new(Limits {
        queue_max: 8,
        ..one_slot()
    });
    for id in 0..7 {
        rig.submit(of(1, Priority::Usual, request(id, &[1], 9)));
    }
    let more = of(1, Priority::Urgent, request(7, &[1], 9));
    let failure = rig.scheduler.submit(more).unwrap_err();
    assert_eq!(failure.code, ErrorCode::Overloaded);
    assert!(failure.retry_after >= Some(Duration::from_secs(1)));
    rig.submit(of(2, Priority::Usual, request(8, &[1], 9)));
    rig.submit(of(3, Priority::Usual, request(9, &[1], 9)));
    let more = of(4, Priority::Usual, request(10, &[1], 9));
    assert!(rig.scheduler.submit(more).is_err(), "now it is full");
    assert_eq!(rig.scheduler.load().waiting, 8);
    rig.run();
}

#[test]
fn who_is_taken_on_hears_of_its_place() {
    let mut rig = Rig::new(one_slot());
    let mut place = |client, id| {
        let submitted = rig
            .scheduler
            .submit(of(client, Priority::Usual, request(id, &[1], 9)));
        match submitted.unwrap() {
            Submitted::Waiting { position } => position,
            Submitted::Finished(_) => panic!("it is not finished"),
        }
    };
    assert_eq!(place(1, 1), 0);
    assert_eq!(place(1, 2), 1);
    assert_eq!(place(1, 3), 2);
    // The running one counts for the first client.
    assert!(place(2, 4) <= 2);
    rig.run();
}

#[test]
fn who_waits_hears_of_its_new_place_until_it_runs() {
    let mut rig = Rig::new(one_slot());
    for id in 1..=4 {
        rig.submit(of(1, Priority::Usual, request(id, &[1], 9)));
    }
    rig.scheduler.cancel(RequestId(2));
    rig.run();
    let places = |id: u64| -> Vec<u32> {
        let places = rig.events.iter().filter_map(|(of, event)| match event {
            TokenEvent::Accepted { position } if of.0 == id => Some(*position),
            _ => None,
        });
        places.collect()
    };
    assert_eq!(places(1), [0; 0], "it ran at once");
    assert_eq!(places(2), [0; 0], "nobody listens any more");
    assert_eq!(places(3), [1, 0]);
    assert_eq!(places(4), [2, 1, 0]);
    let first = rig.events.iter().find(|(of, _)| of.0 == 4);
    let last = rig.events.iter().rfind(|(of, _)| of.0 == 4);
    assert!(matches!(first, Some((_, TokenEvent::Accepted { .. }))));
    assert!(matches!(last, Some((_, TokenEvent::Finished(_)))));
}

proptest! {
    #[test]
    fn every_request_ends_and_the_queue_is_bounded(
        requests in prop::collection::vec(
            (0_u64..4, 0_usize..3, 1_usize..120, 1_u32..80, 0_u32..3),
            1..60,
        ),
        slots_max in 1_u32..4,
        queue_max in 0_u32..20,
        stages in 1_u32..4,
        token_us in 0_u64..2000,
    ) {
        let limits = Limits { slots_max, queue_max, stages, cache_tokens_max: 210, ..LIMITS };
        let mut rig = Rig::new(limits);
        rig.speed = (Duration::from_millis(1), Duration::from_micros(token_us));
        let mut accepted = Vec::new();
        for (id, (client, priority, prompt, answer, steps)) in (0_u64..).zip(&requests) {
            let priority = [Priority::Urgent, Priority::Usual, Priority::Patient][*priority];
            let asked = of(*client, priority, request(id, &vec![1; *prompt], *answer));
            match rig.scheduler.submit(asked) {
                Ok(_) => accepted.push(id),
                Err(failure) => prop_assert_eq!(failure.code, ErrorCode::Overloaded),
            }
            for _ in 0..*steps {
                rig.step();
            }
            let load = rig.scheduler.load();
            // Beside those that never ran only some that gave their slot back wait.
            prop_assert!(load.waiting <= queue_max + slots_max);
        }
        rig.run();
        let mut ended = ends(&rig);
        ended.sort_unstable();
        prop_assert_eq!(ended, accepted);
    }
}
