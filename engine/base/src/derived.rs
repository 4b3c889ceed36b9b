//! A model that is another one with words and settings of its own, under its own name.

use crate::{GenerateRequest, Message, Prompt, Role};

/// What a derived model adds to the model that it runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DerivedModel {
    /// The name of the model that it runs, which is no derived one.
    pub base: String,
    /// Instructions for conversations that have none.
    pub system: Option<String>,
    /// A chat template in the place of the model's own.
    pub template: Option<String>,
    /// Turns that come before those of each conversation.
    pub messages: Vec<Message>,
    /// For requests that leave them open.
    pub parameters: Parameters,
    /// The text of its licence.
    pub licence: Option<String>,
}

/// Settings for requests that leave them open. See [`crate::Sampling`] and [`GenerateRequest`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    /// See [`crate::Sampling::temperature`].
    pub temperature: Option<f32>,
    /// See [`crate::Sampling::top_p`].
    pub top_p: Option<f32>,
    /// See [`crate::Sampling::top_k`].
    pub top_k: Option<u32>,
    /// See [`crate::Sampling::min_p`].
    pub min_p: Option<f32>,
    /// See [`crate::Penalties::repetition`].
    pub repetition_penalty: Option<f32>,
    /// See [`crate::Penalties::frequency`].
    pub frequency_penalty: Option<f32>,
    /// See [`crate::Penalties::presence`].
    pub presence_penalty: Option<f32>,
    /// See [`crate::Sampling::seed`].
    pub seed: Option<u64>,
    /// Tokens to generate at most.
    pub max_tokens: Option<u32>,
    /// Longest prompt and answer together, in tokens.
    pub context_tokens: Option<u32>,
    /// Strings that end the answer, besides those of the request.
    pub stop: Vec<String>,
}

/// Stop strings that a request may have in the end.
const STOP_MAX: usize = 16;

impl DerivedModel {
    /// Fills in what a request to this model leaves open, and sends it to the model that is run. What the request says
    /// itself counts more.
    pub fn fill_in(&self, request: &mut GenerateRequest) {
        request.model.clone_from(&self.base);
        if let Prompt::Chat(conversation) | Prompt::Templated { conversation, .. } =
            &mut request.prompt
        {
            let messages = &mut conversation.messages;
            let instructed = messages
                .first()
                .is_some_and(|first| first.role == Role::System);
            let after_system = usize::from(instructed);
            messages.splice(after_system..after_system, self.messages.iter().cloned());
            if let Some(system) = self.system.as_deref().filter(|_| !instructed) {
                messages.insert(0, Message::new(Role::System, system));
            }
        }
        if let (Prompt::Chat(conversation), Some(template)) = (&mut request.prompt, &self.template)
        {
            request.prompt = Prompt::Templated {
                conversation: std::mem::take(conversation),
                template: template.clone(),
            };
        }
        let asked = &mut request.sampling;
        let own = &self.parameters;
        asked.temperature = asked.temperature.or(own.temperature);
        asked.top_p = asked.top_p.or(own.top_p);
        asked.top_k = asked.top_k.or(own.top_k);
        asked.min_p = asked.min_p.or(own.min_p);
        asked.repetition_penalty = asked.repetition_penalty.or(own.repetition_penalty);
        asked.frequency_penalty = asked.frequency_penalty.or(own.frequency_penalty);
        asked.seed = asked.seed.or(own.seed);
        asked.presence_penalty = asked.presence_penalty.or(own.presence_penalty);
        request.max_tokens = request.max_tokens.or(own.max_tokens);
        if request.stop.is_empty() {
            request.stop = own.stop.iter().take(STOP_MAX).cloned().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AskedSampling, Conversation, RequestId};

    fn request(messages: Vec<Message>) -> GenerateRequest {
        GenerateRequest {
            id: RequestId(1),
            standing: crate::Standing::default(),
            model: "mario".into(),
            prompt: Prompt::Chat(Conversation {
                messages,
                ..Conversation::default()
            }),
            sampling: AskedSampling {
                temperature: Some(0.5),
                top_p: None,
                top_k: None,
                min_p: None,
                seed: None,
                drawn_seed: 7,
                repetition_penalty: None,
                frequency_penalty: None,
                presence_penalty: None,
            },
            max_tokens: None,
            context_tokens: None,
            stop: Vec::new(),
            stop_tokens: Vec::new(),
            logprobs: None,
            echo: false,
            ignore_eos: false,
            grammar: None,
            logit_bias: Vec::new(),
            keep_alive: None,
            prediction: String::new(),
        }
    }

    fn mario() -> DerivedModel {
        DerivedModel {
            base: "sprout".into(),
            system: Some("You are Mario.".into()),
            messages: vec![
                Message::new(Role::User, "Who are you?"),
                Message::new(Role::Assistant, "Mario!"),
            ],
            parameters: Parameters {
                temperature: Some(1.0),
                top_k: Some(3),
                seed: Some(5),
                max_tokens: Some(9),
                stop: vec!["END".into()],
                ..Parameters::default()
            },
            ..DerivedModel::default()
        }
    }

    fn said(request: &GenerateRequest) -> Vec<&str> {
        let messages = &request.prompt.conversation().unwrap().messages;
        messages
            .iter()
            .map(|message| message.content.as_str())
            .collect()
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let mut asked = request(vec![Message::new(Role::User, "Hello")]);
        mario().fill_in(&mut asked);
        assert_eq!(asked.model, "sprout");
        assert_eq!(
            said(&asked),
            ["You are Mario.", "Who are you?", "Mario!", "Hello"]
        );
        assert_eq!(asked.sampling.temperature, Some(0.5));
        assert_eq!(asked.sampling.top_k, Some(3));
        assert_eq!(asked.sampling.seed, Some(5));
        assert_eq!(asked.max_tokens, Some(9));
        assert_eq!(asked.stop, ["END"]);
    }

    #[test]
    fn instructions_of_the_request_count_more() {
        let mut asked = request(vec![
            Message::new(Role::System, "You are Luigi."),
            Message::new(Role::User, "Hello"),
        ]);
        asked.stop = vec!["x".into()];
        asked.sampling.seed = Some(0);
        let templated = DerivedModel {
            template: Some("{{ messages }}".into()),
            ..mario()
        };
        templated.fill_in(&mut asked);
        assert!(
            matches!(&asked.prompt, Prompt::Templated { template, .. } if template == "{{ messages }}")
        );
        assert_eq!(
            said(&asked),
            ["You are Luigi.", "Who are you?", "Mario!", "Hello"]
        );
        assert_eq!(asked.stop, ["x"]);
        assert_eq!(asked.sampling.seed, Some(0));
    }
}
