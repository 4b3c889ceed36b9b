//! Vectors of texts: each text is a request of its own for rank 0, some of them at once.

use std::time::Instant;

use base::{
    EmbedInput, EmbedRequest, Embedded, ErrorCode, Failure, Pooling, RequestId, Sampling, Standing,
    TokenEvent, TokenId, TokenRequest,
};
use futures::{StreamExt, TryStreamExt, stream};
use text::Framing;

use super::generation::{Asked, Generation, Limit};
use super::model_text::ModelText;
use super::prepare::{ModelLimits, check_vocabulary};
use super::replicas::Weights;
use super::{NodeGateway, REQUEST_LIMIT, models};
use crate::words;

/// Texts of one request that are computed at once: enough to fill a batch, few enough to leave others a place in the queue.
const INPUTS_AT_ONCE: usize = 16;
/// Between the names of two texts' requests: each takes another name whenever it is submitted again.
const NAMES_OF_A_REQUEST: u64 = 1 << 20;

impl NodeGateway {
    pub(super) async fn vectors(&self, mut ask: EmbedRequest) -> Result<Embedded, Failure> {
        let limit = Limit::of(ask.standing.time_limit.unwrap_or(REQUEST_LIMIT));
        let derived = self.models.derived(&ask.model).await?;
        if let Some(derived) = &derived {
            ask.model.clone_from(&derived.model.base);
        }
        let _place = self.opening.place(&ask.model)?;
        let began = Instant::now();
        let instance = self.opening.on_demand(&ask.model).await?;
        let loading = began.elapsed();
        let asked = Asked {
            instance: instance.id,
            weights: Weights::of(&instance),
            keep_alive: ask.keep_alive,
        };
        let text = self.text_of(&instance).await?;
        let own = models::context_tokens(&instance, derived.as_ref());
        let limits = ModelLimits {
            context_tokens: ask.context_tokens.map_or(own, |asked| own.min(asked)),
            ..ModelLimits::of(&instance)
        };
        let preparing = move || prepare(ask, &text, limits);
        let requests = self.desk.prepare(preparing).await?;
        let prompt_tokens = requests
            .iter()
            .map(|request| request.prompt.len())
            .sum::<usize>();
        let each = stream::iter(requests);
        let each = each.map(|request| vector(self.generation(asked, request, limit)));
        Ok(Embedded {
            vectors: each.buffered(INPUTS_AT_ONCE).try_collect().await?,
            model: derived.map_or(instance.model.0, |derived| derived.name),
            prompt_tokens: u32::try_from(prompt_tokens).unwrap_or(u32::MAX),
            loading,
        })
    }
}

async fn vector(mut generation: Generation) -> Result<Vec<f32>, Failure> {
    let mut vector = None;
    loop {
        match generation.next().await {
            TokenEvent::Embedding(whole) => vector = Some(whole),
            TokenEvent::Failed(failure) => return Err(failure),
            TokenEvent::Finished(_) => break,
            TokenEvent::Accepted { .. }
            | TokenEvent::Recalled { .. }
            | TokenEvent::Predicted { .. }
            | TokenEvent::Prompt(_)
            | TokenEvent::Token { .. } => {}
        }
    }
    vector.ok_or_else(|| Failure::new(ErrorCode::Internal, "the model gave no vector"))
}

/// A request for each text. Takes as long as tokenizing takes.
fn prepare(
    ask: EmbedRequest,
    text: &ModelText,
    limits: ModelLimits,
) -> Result<Vec<TokenRequest>, Failure> {
    let pooling = text.pooling.ok_or_else(unknown_pooling)?;
    let mut requests = Vec::with_capacity(ask.inputs.len());
    for (index, input) in (0_u64..).zip(ask.inputs) {
        let prompt = tokens(input, ask.truncate, text, limits)?;
        let name = index.wrapping_mul(NAMES_OF_A_REQUEST);
        let id = RequestId(ask.id.0.wrapping_add(name));
        requests.push(request(id, ask.standing, prompt, pooling));
    }
    Ok(requests)
}

fn request(
    id: RequestId,
    standing: Standing,
    prompt: Vec<TokenId>,
    pooling: Pooling,
) -> TokenRequest {
    TokenRequest {
        id,
        client: standing.client,
        priority: standing.priority,
        prompt,
        generated: Vec::new(),
        sampling: Sampling::GREEDY,
        max_tokens: 0,
        stop: Vec::new(),
        stop_tokens: Vec::new(),
        logprobs: None,
        prompt_logprobs: false,
        grammar: None,
        logit_bias: Vec::new(),
        pooling: Some(pooling),
        prediction: Vec::new(),
    }
}

fn tokens(
    input: EmbedInput,
    truncate: bool,
    text: &ModelText,
    limits: ModelLimits,
) -> Result<Vec<TokenId>, Failure> {
    let max = limits.context_tokens as usize;
    let tokenizer = &text.tokenizer;
    // Of a text that is cut to its marks nothing is left.
    let least = match input {
        EmbedInput::Text(_) => tokenizer.marks(),
        EmbedInput::Tokens(_) => 0,
    };
    if truncate && max <= least {
        let message = format!(
            "the input after truncation exceeds maximum context length: of {max} tokens {least} are the model's own marks"
        );
        return Err(Failure::new(ErrorCode::ContextTooLong, message).param("input"));
    }
    let tokens = match input {
        EmbedInput::Text(words) if truncate => tokenizer.encode_cut(&words, max),
        EmbedInput::Text(words) => tokenizer.encode(&words, Framing::Whole),
        EmbedInput::Tokens(mut tokens) => {
            if truncate {
                tokens.truncate(max);
            }
            Ok(tokens)
        }
    };
    let tokens =
        tokens.map_err(|error| words::failure(ErrorCode::InvalidRequest, &error.to_string()))?;
    if tokens.is_empty() {
        let failure = Failure::new(ErrorCode::InvalidRequest, "a text has no tokens");
        return Err(failure.hint("send at least one").param("input"));
    }
    if tokens.len() > max {
        let length = tokens.len();
        let message = format!(
            "an input exceeds maximum context length: it has {length} tokens, but there is room for {max}"
        );
        let failure = Failure::new(ErrorCode::ContextTooLong, message).param("input");
        return Err(failure.hint("divide the text into shorter ones"));
    }
    check_vocabulary(&tokens, "input", limits)?;
    Ok(tokens)
}

fn unknown_pooling() -> Failure {
    let message = "this model makes its vectors in a way that is not known here";
    let failure = Failure::new(ErrorCode::ModelUnsupported, message);
    failure.hint("its 1_Pooling/config.json must ask for the mean or the last token alone")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ModelLimits = ModelLimits {
        context_tokens: 8,
        unasked_tokens: u32::MAX,
        vocabulary_size: 4096,
    };

    fn prepared(
        inputs: Vec<EmbedInput>,
        truncate: bool,
        pooling: Option<Pooling>,
    ) -> Result<Vec<TokenRequest>, Failure> {
        let sprout = concat!(env!("ESPALIER_CHECKOUT"), "/engine/store/sprout");
        let mut text = ModelText::load(sprout.as_ref()).unwrap();
        text.pooling = pooling;
        let ask = EmbedRequest {
            id: RequestId(u64::MAX),
            standing: Standing::default(),
            model: "sprout".into(),
            inputs,
            truncate,
            context_tokens: None,
            keep_alive: None,
        };
        prepare(ask, &text, LIMITS)
    }

    #[test]
    fn each_input_is_a_request_of_its_own() {
        let inputs = vec![
            EmbedInput::Text("Hello".into()),
            EmbedInput::Tokens(vec![5, 6, 7]),
        ];
        let requests = prepared(inputs, false, Some(Pooling::Mean)).unwrap();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[1].prompt, [5, 6, 7]);
        assert_ne!(requests[0].id, requests[1].id);
        for request in requests {
            assert_eq!(
                (request.max_tokens, request.pooling),
                (0, Some(Pooling::Mean))
            );
        }
    }

    #[test]
    fn what_is_too_long_is_cut_or_refused() {
        let long = || {
            let text = EmbedInput::Text("What is Espalier? ".repeat(20));
            [text, EmbedInput::Tokens((0..20).collect())]
        };
        let cut = prepared(long().into(), true, Some(Pooling::Last)).unwrap();
        assert!(cut.iter().all(|request| request.prompt.len() == 8));
        assert_eq!(cut[1].prompt, [0, 1, 2, 3, 4, 5, 6, 7]);
        for input in long() {
            let failure = prepared(vec![input], false, Some(Pooling::Last)).unwrap_err();
            assert_eq!(failure.code, ErrorCode::ContextTooLong);
            assert_eq!(failure.param.as_deref(), Some("input"));
        }
    }

    #[test]
    fn of_a_text_cut_to_nothing_there_is_no_vector() {
        let sprout = concat!(env!("ESPALIER_CHECKOUT"), "/engine/store/sprout");
        let text = ModelText::load(sprout.as_ref()).unwrap();
        let limits = |context_tokens| ModelLimits {
            context_tokens,
            ..LIMITS
        };
        let cut = |max| {
            let input = EmbedInput::Text("What is Espalier?".into());
            tokens(input, true, &text, limits(max))
        };
        let marks = text.tokenizer.marks() as u32;
        assert_eq!(cut(marks + 1).unwrap().len() as u32, marks + 1);
        assert_eq!(cut(marks).unwrap_err().code, ErrorCode::ContextTooLong);
    }

    #[test]
    fn what_has_no_vector_is_refused() {
        let code =
            |input: EmbedInput, pooling| prepared(vec![input], true, pooling).unwrap_err().code;
        let mean = Some(Pooling::Mean);
        let invalid = ErrorCode::InvalidRequest;
        assert_eq!(code(EmbedInput::Tokens(Vec::new()), mean), invalid);
        assert_eq!(code(EmbedInput::Tokens(vec![4096]), mean), invalid);
        let text = EmbedInput::Text("Hello".into());
        assert_eq!(code(text, None), ErrorCode::ModelUnsupported);
    }
}
