//! `espalier join`: pairs this computer with one nearby, for computers without a screen. A person compares the digits;
//! nothing is confirmed by itself.

mod choice;

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::JoinArguments;
use super::ask;
use super::client::{Answer, Client, failure_in};
use super::failure::CommandFailure;
use choice::{Chosen, Membership, Pairing, Stage, Wanted, choose};

/// A computer that is there is seen within this: discovery asks again after one and after three seconds.
const SEEN_LIMIT: Duration = Duration::from_secs(5);
/// The node ends a pairing after two minutes; this is for a node that does not say so.
const PAIRING_LIMIT: Duration = Duration::from_secs(150);

pub(super) async fn join(arguments: JoinArguments) -> Result<(), CommandFailure> {
    if arguments.confirm.is_none() && !ask::somebody_is_there() {
        return Err(CommandFailure::with_hint(
            "there is no terminal on which to compare digits",
            "run it in a terminal, or start the pairing on the other computer and give the digits that it shows with --confirm DIGITS",
        ));
    }
    let client = Client::new(&arguments.target);
    let mut events = Events {
        stream: client.follow("/admin/events").await?,
        ends: Instant::now() + SEEN_LIMIT,
        latest: None,
    };
    let wanted = Wanted {
        named: arguments.node.as_deref(),
        answer_only: arguments.confirm.is_some(),
    };
    let chosen = find(&mut events, wanted).await?;
    events.ends = Instant::now() + PAIRING_LIMIT;
    if !chosen.under_way {
        ask_node(&client, "", &chosen.id).await?;
    }
    let before = events.pairing().filter(|_| !chosen.under_way).cloned();
    let pairing = pair(&client, &mut events, &chosen, before, arguments.confirm);
    tokio::select! {
        done = pairing => done,
        _ = tokio::signal::ctrl_c() => {
            ask_node(&client, "/cancel", &chosen.id).await?;
            Err(CommandFailure::other("the pairing was cancelled"))
        }
    }
}

/// Waits until there is somebody to pair with, or says why there is not.
async fn find(events: &mut Events, wanted: Wanted<'_>) -> Result<Chosen, CommandFailure> {
    loop {
        let news = events.next().await;
        let chosen = events.latest.as_ref().map(|seen| choose(seen, wanted));
        match (chosen, news) {
            (Some(Ok(chosen)), _) => return Ok(chosen),
            // Nobody came in time: the reason is in what was seen.
            (Some(Err(failure)), Err(_)) | (None, Err(failure)) => return Err(failure),
            (Some(Err(_)) | None, Ok(())) => {}
        }
    }
}

/// From the call to the end. A pairing that was there before is not this one.
async fn pair(
    client: &Client,
    events: &mut Events,
    chosen: &Chosen,
    before: Option<Pairing>,
    confirm: Option<String>,
) -> Result<(), CommandFailure> {
    let this = |pairing: &Pairing| pairing.node_id == chosen.id && Some(pairing) != before.as_ref();
    let over = |pairing: &Pairing| this(pairing) && !pairing.is_open();
    let shown = |pairing: &Pairing| this(pairing) && pairing.digits.is_some();
    let pairing = events.wait(|now| over(now) || shown(now)).await?;
    let Some(digits) = &pairing.digits else {
        return outcome(&pairing);
    };
    let (left, right) = digits.split_at_checked(3).unwrap_or((digits, ""));
    println!("{} must show the same digits:\n", pairing.name);
    println!("    {left} {right}\n");
    let same = if let Some(given) = confirm {
        given.replace([' ', '-'], "") == *digits
    } else {
        tokio::select! {
            answer = ask::yes("Are they the same?") => answer?,
            pairing = events.wait(over) => {
                println!();
                return outcome(&pairing?);
            }
        }
    };
    if !same {
        ask_node(client, "/cancel", &chosen.id).await?;
        return Err(CommandFailure::with_hint(
            "the pairing was cancelled",
            "if the digits differ, someone is in between",
        ));
    }
    ask_node(client, "/confirm", &chosen.id).await?;
    println!("Confirmed here. Now confirm it on {}.", pairing.name);
    outcome(&events.wait(over).await?)
}

fn outcome(pairing: &Pairing) -> Result<(), CommandFailure> {
    if pairing.stage == Stage::Done {
        println!("{} is in the cluster.", pairing.name);
        return Ok(());
    }
    let failure = failure_in(&json!({"error": pairing.error}));
    Err(failure.unwrap_or_else(|| CommandFailure::other("the pairing ended")))
}

async fn ask_node(client: &Client, what: &str, id: &str) -> Result<(), CommandFailure> {
    let path = format!("/admin/pairing{what}");
    client.post(&path, &json!({"node_id": id})).await?;
    Ok(())
}

/// The memberships among the node's events.
struct Events {
    stream: Answer,
    ends: Instant,
    latest: Option<Membership>,
}

impl Events {
    fn pairing(&self) -> Option<&Pairing> {
        self.latest.as_ref()?.pairing.as_ref()
    }

    async fn next(&mut self) -> Result<(), CommandFailure> {
        loop {
            let event = timeout_at(self.ends, self.stream.event()).await;
            let late = |_| CommandFailure::other("the node said nothing more in time");
            let data = event.map_err(late)??;
            let data = data.ok_or_else(|| CommandFailure::other("the node ended"))?;
            // The cluster's state comes on the same stream.
            if let Ok(membership) = serde_json::from_str(&data) {
                self.latest = Some(membership);
                return Ok(());
            }
        }
    }

    /// Until the pairing is so, which it may be already.
    async fn wait(&mut self, holds: impl Fn(&Pairing) -> bool) -> Result<Pairing, CommandFailure> {
        loop {
            if let Some(pairing) = self.pairing().filter(|now| holds(now)) {
                return Ok(pairing.clone());
            }
            self.next().await?;
        }
    }
}
