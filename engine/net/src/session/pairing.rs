//! A pairing on an open connection: carries messages, clicks and the clock to the pure machine, and its acts back.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use base::NodeId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::{client, server};

use super::Context;
use super::call::{CallError, Target, reach_any};
use super::handshake::{greeted, receive, send};
use super::introduce::{read, receive_roster, send_roster};
use crate::hub::HubMessage;
use crate::limits::{HANDSHAKE_TIMEOUT, PAIRING_TIMEOUT};
use crate::pairing::agreement::{Act, Agreement, Input, Word, joinable};
use crate::pairing::{
    ANSWER_BYTES, Asked, NONCE_BYTES, Nonce, PairingEnd, REVEAL_BYTES, Role, Starting,
};
use crate::proof::{Channel, HELLO_BYTES};
use crate::{Digits, PairingStage, PairingView, Roster, tls};

/// A click of the person here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Click {
    /// The digits are the same.
    Confirm,
    /// They are not, or never mind.
    Cancel,
}

/// How a pairing ended.
pub(crate) enum Outcome {
    /// The other side has this roster, which this one has signed it into.
    LetIn(Box<Roster>),
    /// The other side has signed this one into this roster.
    Joined(Box<Roster>),
    /// Without a roster.
    Ended(PairingEnd),
}

/// The other side of a pairing that has come to its digits.
pub(crate) struct Partner<S> {
    stream: S,
    node: NodeId,
    name: String,
    /// What this side is to do.
    role: Role,
    started_here: bool,
    digits: Digits,
    clicks: mpsc::Receiver<Click>,
    /// When the time is over, on this side's clock.
    deadline: Instant,
}

/// Starts a pairing with `node`, which is called `name`, and carries it to its end.
pub(crate) async fn start(
    context: Arc<Context>,
    node: NodeId,
    name: String,
    (target, addresses): (Target, Vec<SocketAddr>),
    clicks: mpsc::Receiver<Click>,
) {
    let calling = PairingView {
        node,
        name,
        started_here: true,
        stage: PairingStage::Calling,
    };
    show(&context, calling.clone()).await;
    match begin(&context, node, (target, addresses), clicks).await {
        Ok(partner) => carry_on(context, partner).await,
        Err(end) => over(&context, calling, Outcome::Ended(end)).await,
    }
}

async fn begin(
    context: &Context,
    node: NodeId,
    (target, addresses): (Target, Vec<SocketAddr>),
    mut clicks: mpsc::Receiver<Click>,
) -> Result<Partner<client::TlsStream<TcpStream>>, PairingEnd> {
    let deadline = Instant::now() + PAIRING_TIMEOUT;
    let exchange = async {
        let reached = reach_any(context, &target, &addresses).await;
        let (mut stream, reached, _) = reached.map_err(|error| match error {
            CallError::SomeoneElse => PairingEnd::Altered,
            _ => PairingEnd::Unreachable,
        })?;
        if reached != node {
            return Err(PairingEnd::NotSeen);
        }
        let met = timeout(HANDSHAKE_TIMEOUT, meet(context, &mut stream, node)).await;
        let met = met.unwrap_or(Err(PairingEnd::Broken))?;
        Ok((stream, met))
    };
    let (stream, (name, role, digits)) = tokio::select! {
        biased;
        // Before there are digits, any click can only mean no.
        _ = clicks.recv() => return Err(PairingEnd::CancelledHere),
        met = exchange => met?,
    };
    Ok(Partner {
        stream,
        node,
        name,
        role,
        started_here: true,
        digits,
        clicks,
        deadline,
    })
}

/// The exchange up to the digits as the side that starts; gives the other one's name as it says it itself, its role here,
/// and the digits.
async fn meet(
    context: &Context,
    stream: &mut client::TlsStream<TcpStream>,
    node: NodeId,
) -> Result<(String, Role, Digits), PairingEnd> {
    let broken = |_| PairingEnd::Broken;
    let greeting = greeted(stream).await.map_err(|_| PairingEnd::Broken)?;
    let home = context.home();
    if home == greeting.home && context.are_members(node).is_ok() {
        return Err(PairingEnd::Together);
    }
    let role = home.household().start_with(greeting.home.household())?;
    let channel = Channel {
        dialer: context.own.node,
        listener: node,
        binding: tls::channel_binding(stream.get_ref().1).ok_or(PairingEnd::Broken)?,
    };
    let (starting, hello) = Starting::begin(channel, role, context.port, nonce()?);
    send(stream, &hello).await.map_err(broken)?;
    let answer: [u8; ANSWER_BYTES] = receive(stream).await.map_err(broken)?;
    let (digits, reveal) = starting.answer(&context.own.name, &answer)?;
    send(stream, &reveal).await.map_err(broken)?;
    Ok((greeting.name, role, digits))
}

/// What a listener and a starter that has called agree on up to the digits.
pub(crate) struct Met {
    name: String,
    role: Role,
    digits: Digits,
    clicks: mpsc::Receiver<Click>,
}

/// The exchange up to the digits as the side that is asked.
pub(super) async fn answer(
    context: &Context,
    stream: &mut server::TlsStream<TcpStream>,
    channel: Channel,
    hello: &[u8; HELLO_BYTES],
) -> Result<Met, PairingEnd> {
    let granted = match Asked::wish(hello) {
        Ok(starter) => ask(context, channel.dialer, starter)
            .await
            .and_then(|(role, clicks)| Ok((starter, role, clicks, nonce()?))),
        Err(end) => Err(end),
    };
    let broken = |_| PairingEnd::Broken;
    let (starter, role, clicks, nonce) = match granted {
        Ok(granted) => granted,
        Err(end) => {
            send(stream, &Asked::refuse(end)).await.map_err(broken)?;
            return Err(end);
        }
    };
    let (asked, answer) = Asked::grant(channel, starter, hello, nonce);
    send(stream, &answer).await.map_err(broken)?;
    let reveal: [u8; REVEAL_BYTES] = receive(stream).await.map_err(broken)?;
    let (digits, name) = asked.reveal(&reveal)?;
    Ok(Met {
        name,
        role,
        digits,
        clicks,
    })
}

/// Carries on a pairing that `node` has started.
pub(super) async fn serve(
    context: Arc<Context>,
    stream: server::TlsStream<TcpStream>,
    node: NodeId,
    met: Met,
) {
    let partner = Partner {
        stream,
        node,
        name: met.name,
        role: met.role,
        started_here: false,
        digits: met.digits,
        clicks: met.clicks,
        deadline: Instant::now() + PAIRING_TIMEOUT,
    };
    carry_on(context, partner).await;
}

/// Asks the hub whether `node` may pair now; gives what this side is to do then.
async fn ask(
    context: &Context,
    node: NodeId,
    starter: Role,
) -> Result<(Role, mpsc::Receiver<Click>), PairingEnd> {
    let (reply, answer) = oneshot::channel();
    let asked = HubMessage::Asked {
        node,
        starter,
        reply,
    };
    let _ = context.hub.send(asked).await;
    answer.await.unwrap_or(Err(PairingEnd::Leaving))
}

async fn carry_on<S: AsyncRead + AsyncWrite + Unpin>(
    context: Arc<Context>,
    mut partner: Partner<S>,
) {
    let outcome = agree(&context, &mut partner).await;
    // It is over: another one may begin.
    partner.clicks.close();
    let view = partner.view(PairingStage::Calling);
    let outcome = match (outcome, partner.role) {
        (Ok(roster), Role::LetsIn) => Outcome::LetIn(Box::new(roster)),
        (Ok(roster), Role::Joins) => Outcome::Joined(Box::new(roster)),
        (Err(end), _) => Outcome::Ended(end),
    };
    over(&context, view, outcome).await;
    // So that the last word arrives.
    let _ = timeout(
        HANDSHAKE_TIMEOUT,
        tokio::io::AsyncWriteExt::shutdown(&mut partner.stream),
    )
    .await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Partner<S> {
    fn view(&self, stage: PairingStage) -> PairingView {
        PairingView {
            node: self.node,
            name: self.name.clone(),
            started_here: self.started_here,
            stage,
        }
    }

    /// What cannot be sent shows at the next read.
    async fn say(&mut self, word: Word) {
        let byte = [word.byte()];
        let saying = send(&mut self.stream, &byte);
        let _ = timeout(HANDSHAKE_TIMEOUT, saying).await;
    }

    /// The next thing that happens.
    async fn input(&mut self) -> Input {
        let mut byte = [0];
        tokio::select! {
            biased;
            click = self.clicks.recv() => match click {
                Some(Click::Confirm) => Input::Confirm,
                Some(Click::Cancel) | None => Input::Cancel,
            },
            () = sleep_until(self.deadline) => Input::TimeUp,
            read = self.stream.read(&mut byte) => match read {
                Ok(1..) => Input::Word(byte[0]),
                Ok(0) | Err(_) => Input::Gone,
            },
        }
    }
}

/// From the digits to the end; gives the roster in which both are members.
async fn agree<S: AsyncRead + AsyncWrite + Unpin>(
    context: &Context,
    partner: &mut Partner<S>,
) -> Result<Roster, PairingEnd> {
    let mut agreement = Agreement::new(partner.role);
    let mut roster = None;
    let mut shown = None;
    // Ends at the latest when the time is over.
    loop {
        let yeses = agreement.yeses();
        if shown != Some(yeses) {
            shown = Some(yeses);
            let stage = PairingStage::Compare {
                digits: partner.digits,
                confirmed_here: yeses.0,
                confirmed_there: yeses.1,
            };
            show(context, partner.view(stage)).await;
        }
        let mut inputs = VecDeque::from([partner.input().await]);
        while let Some(input) = inputs.pop_front() {
            for act in agreement.on(input) {
                match act {
                    Act::Send(word) => partner.say(word).await,
                    Act::HandOver => match hand_over(context, partner).await {
                        Ok(new) => roster = Some(new),
                        Err(end) => inputs.push_back(Input::CannotHandOver(end)),
                    },
                    Act::TakeRoster => {
                        roster = take_roster(context, partner).await;
                        inputs.push_back(Input::Came {
                            good: roster.is_some(),
                        });
                    }
                    Act::Finish => return roster.ok_or(PairingEnd::BadRoster),
                    Act::End(end) => return Err(end),
                }
            }
        }
    }
}

/// Has the hub sign the other one in, and sends it the roster.
async fn hand_over<S: AsyncRead + AsyncWrite + Unpin>(
    context: &Context,
    partner: &mut Partner<S>,
) -> Result<Roster, PairingEnd> {
    let (reply, signed) = oneshot::channel();
    let message = HubMessage::LetIn {
        node: partner.node,
        name: partner.name.clone(),
        reply,
    };
    let _ = context.hub.send(message).await;
    let roster = signed.await.unwrap_or(Err(PairingEnd::Leaving))?;
    partner.say(Word::Roster).await;
    // What cannot be sent shows at the next read.
    let sending = send_roster(&mut partner.stream, &roster);
    let _ = timeout(HANDSHAKE_TIMEOUT, sending).await;
    Ok(roster)
}

async fn take_roster<S: AsyncRead + AsyncWrite + Unpin>(
    context: &Context,
    partner: &mut Partner<S>,
) -> Option<Roster> {
    let received = timeout(HANDSHAKE_TIMEOUT, receive_roster(&mut partner.stream)).await;
    let roster = read(received.ok()?.ok()?).await?;
    joinable(roster, context.own.node, partner.node)
}

async fn show(context: &Context, view: PairingView) {
    // A closed hub has nobody to show it to.
    let _ = context.hub.send(HubMessage::Pairing(view)).await;
}

async fn over(context: &Context, view: PairingView, outcome: Outcome) {
    let _ = context
        .hub
        .send(HubMessage::PairingOver { view, outcome })
        .await;
}

fn nonce() -> Result<Nonce, PairingEnd> {
    let mut nonce: Nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| PairingEnd::NoRandomness)?;
    Ok(nonce)
}
