//! Conversations for which a model has no room: their oldest turns are left out until there is.

use std::sync::Arc;

use base::{ErrorCode, Failure, GenerateRequest, Prompt, Role};
use futures::{StreamExt, stream};

use crate::app::App;
use crate::calls::Noted;
use crate::generation::{Events, events};

/// Starts a generation and waits for its first event. An answer never passes the end of the context, the model's or that
/// of the request: if more is asked for, it is what still fits. With `cuts`, the oldest turns are left out, but only if
/// there is no room for all of them and a single word.
pub(crate) async fn fitting(
    app: &Arc<App>,
    request: GenerateRequest,
    cuts: bool,
    noted: Option<Noted>,
) -> Result<Events, Failure> {
    let asked = request.max_tokens;
    let to_the_end = asked.map(|_| GenerateRequest::TO_THE_END);
    let ways = [
        (false, asked),
        (false, to_the_end),
        (true, asked),
        (true, to_the_end),
    ];
    let mut refused = None;
    for (cut, max_tokens) in ways.into_iter().filter(|(cut, _)| !cut || cuts) {
        if refused.is_some() {
            noted.iter().for_each(Noted::forgiven);
        }
        let request = GenerateRequest {
            max_tokens,
            ..request.clone()
        };
        let mut events = if cut {
            shortened(app, request, noted.clone())
        } else {
            events(app, vec![request], noted.clone())
        };
        match events.next().await.transpose() {
            Err(failure) if is_too_long(&failure) => refused = Some(failure),
            first => return Ok(stream::iter(first?.map(Ok)).chain(events).boxed()),
        }
    }
    Err(refused.unwrap_or_else(|| Failure::new(ErrorCode::Internal, "nothing was asked")))
}

/// The events of a generation from which the oldest turns are left out until it fits the model's context.
pub(crate) fn shortened(
    app: &Arc<App>,
    mut request: GenerateRequest,
    noted: Option<Noted>,
) -> Events {
    let app = Arc::clone(app);
    let beginning = async move {
        // Ends: each round leaves out a turn, or gives up.
        loop {
            let mut events = events(&app, vec![request.clone()], noted.clone());
            match events.next().await {
                Some(Err(failure)) if is_too_long(&failure) && shorten(&mut request) => {
                    noted.iter().for_each(Noted::forgiven);
                }
                first => return stream::iter(first).chain(events),
            }
        }
    };
    stream::once(beginning).flatten().boxed()
}

fn is_too_long(failure: &Failure) -> bool {
    failure.code == ErrorCode::ContextTooLong
}

/// Leaves out a quarter of the turns, the oldest, but neither what the system says nor the last. Whether there was one.
fn shorten(request: &mut GenerateRequest) -> bool {
    let (Prompt::Chat(conversation) | Prompt::Templated { conversation, .. }) = &mut request.prompt
    else {
        return false;
    };
    let turns = &mut conversation.messages;
    let first = turns.iter().position(|turn| turn.role != Role::System);
    let first = first.unwrap_or(turns.len());
    let others = (turns.len() - first).saturating_sub(1);
    let mut past = first + others.div_ceil(4);
    // What a tool gave back says nothing without its call.
    while past + 1 < turns.len() && turns[past].role == Role::Tool {
        past += 1;
    }
    turns.drain(first..past).count() > 0
}
