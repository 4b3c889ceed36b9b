//! A tiny model that says what a test wants, turn by turn: programs that nobody can force to call a tool get their calls
//! from real weights through the real engine.
//!
//! It is a Llama whose attention and MLP add nothing, so that the last token alone decides the next. Each answer is cut
//! into tokens of its own, each of which has one successor; the chat template ends a prompt with the token of the turn that
//! is next, which leads to that turn's answer.
//!
//! Where a grammar lets it say nothing of that, it does as little as it can: it ends objects, lists, strings and numbers as soon
//! as they may end, so that whatever it is made to write comes to an end.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::folder;
use crate::nodes::{Node, NodeOptions};

/// Width of the residual stream. Random signs of this many are so far from each other that a logit of 128 is next to ones
/// below 60: decided at any temperature.
const HIDDEN: usize = 128;
/// Short enough that an answer comes in many pieces.
const PIECE_CHARACTERS_MIN: usize = 5;
/// Agents look at it.
const CONTEXT_TOKENS: u32 = 131_072;
/// So much of each turn is in the prompt. Agents send tens of thousands of tokens before the first word of their user, and a node
/// plans less room than that.
const TURN_CHARACTERS: usize = 200;
/// `<|end|>` of Sprout's vocabulary.
const END: usize = 0;
/// What it says where it may not say its answer, the dearest first. Its strings say yes, and its numbers are 3.
const LIKED: [&str; 5] = ["yes\"", "}", "]", "3", "\""];
/// Logit of the dearest of them: below what is scripted, above everything else.
const LIKING: f32 = 84.0;
/// From one to the next.
const LIKING_STEP: f32 = 6.0;
/// All tokens have the same in it.
const CONSTANT: usize = 0;

/// A node with such a model, made in `folder`, and the model's name in requests.
pub fn node(folder: &Path, answers: &[&str]) -> Result<(Node, String)> {
    model(folder, answers)?;
    let node = Node::start(&NodeOptions {
        model: Some(folder.to_string_lossy().into_owned()),
        ..NodeOptions::default()
    })?;
    let (_, state) = node.api().get("/admin/state")?;
    let name = state["instances"][0]["model"].as_str();
    let name = name.context("no instance")?.to_owned();
    Ok((node, name))
}

/// Makes the model in `folder`. Its answer in turn `n` of a conversation is `answers[n]`, and the last one in every later turn. Calls
/// are written as Hermes models write them, thoughts between `<think>` and `</think>`.
pub fn model(folder: &Path, answers: &[&str]) -> Result<()> {
    let sprout = folder::sprout();
    let tokenizer = fs::read_to_string(sprout.join("tokenizer.json"))?;
    let mut vocabulary = Vocabulary::of(serde_json::from_str(&tokenizer)?)?;
    // From a token to the one after it.
    let mut successors: Vec<(usize, usize)> = Vec::new();
    for (turn, answer) in answers.iter().enumerate() {
        let mut last = vocabulary.add(&turn_mark(turn), true);
        for piece in vocabulary.pieces(answer)? {
            let token = vocabulary.add(&piece, false);
            successors.push((last, token));
            last = token;
        }
        successors.push((last, END));
    }
    let liked = LIKED.map(|text| vocabulary.token(text));
    let size = vocabulary.size;
    let thinks = answers.iter().any(|answer| answer.contains("<think>"));
    fs::create_dir_all(folder)?;
    let write = |name: &str, json: &Value| fs::write(folder.join(name), json.to_string());
    write("config.json", &config(size))?;
    write("tokenizer.json", &vocabulary.tokenizer)?;
    let template = template(answers.len(), thinks);
    write(
        "tokenizer_config.json",
        &json!({"eos_token": "<|end|>", "chat_template": template}),
    )?;
    fs::write(
        folder.join("model.safetensors"),
        weights(size, &successors, &liked),
    )?;
    Ok(())
}

fn turn_mark(turn: usize) -> String {
    format!("<|turn {turn}|>")
}

/// Turns of the model are counted, and the count is the prompt's last token.
fn template(turns: usize, thinks: bool) -> String {
    let thinks = if thinks { "{# <think> </think> #}" } else { "" };
    let last = turns.saturating_sub(1);
    [
        thinks,
        "{%- set at = namespace(turn=0) -%}",
        "{%- if tools -%}<|system|>Call with <tool_call> one of {{ tools | length }}<|end|>{%- endif -%}",
        "{%- for message in messages -%}",
        "{%- if message.role == 'assistant' -%}{%- set at.turn = at.turn + 1 -%}{%- endif -%}",
        &format!("<|{{{{ message.role }}}}|>{{{{ message.content[:{TURN_CHARACTERS}] }}}}"),
        "{%- for call in message.tool_calls or [] -%}",
        "<tool_call>{{ call.function | tojson }}</tool_call>{%- endfor -%}<|end|>",
        "{%- endfor -%}",
        "<|turn {% if at.turn > ",
        &format!("{last} %}}{last}"),
        "{% else %}{{ at.turn }}{% endif %}|>",
    ]
    .concat()
}

/// Sprout's tokenizer, which has a token for every byte, with tokens of one's own.
struct Vocabulary {
    tokenizer: Value,
    taken: BTreeSet<String>,
    size: usize,
}

impl Vocabulary {
    fn of(tokenizer: Value) -> Result<Self> {
        let words = tokenizer["model"]["vocab"].as_object();
        let words = words.context("Sprout's tokenizer has no vocabulary")?;
        Ok(Self {
            taken: words.keys().cloned().collect(),
            size: words.len(),
            tokenizer,
        })
    }

    /// The token of a text, which may be a new one.
    fn token(&mut self, text: &str) -> usize {
        let known = self.tokenizer["model"]["vocab"][text].as_u64();
        known.map_or_else(|| self.add(text, false), |id| id as usize)
    }

    fn add(&mut self, text: &str, special: bool) -> usize {
        let id = self.size;
        let token = json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                           "normalized": false, "special": special});
        if let Some(added) = self.tokenizer["added_tokens"].as_array_mut() {
            added.push(token);
        }
        self.size += 1;
        id
    }

    /// Cuts a text into pieces that are nowhere else.
    fn pieces(&mut self, text: &str) -> Result<Vec<String>> {
        let mut pieces: Vec<String> = Vec::new();
        let mut piece = String::new();
        for character in text.chars() {
            piece.push(character);
            if piece.chars().count() >= PIECE_CHARACTERS_MIN && self.taken.insert(piece.clone()) {
                pieces.push(std::mem::take(&mut piece));
            }
        }
        // The rest may be too short to be its own. Ends: each round takes a piece away.
        while !piece.is_empty() && !self.taken.insert(piece.clone()) {
            let before = pieces.pop();
            let before = before.with_context(|| format!("{text:?} is too short"))?;
            piece.insert_str(0, &before);
        }
        pieces.extend(Some(piece).filter(|piece| !piece.is_empty()));
        Ok(pieces)
    }
}

fn config(vocabulary: usize) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 8,
        "vocab_size": vocabulary, "max_position_embeddings": CONTEXT_TOKENS, "rope_theta": 10000.0,
        "rms_norm_eps": 1e-6, "tie_word_embeddings": false, "torch_dtype": "float32", "eos_token_id": END,
    })
}

/// The weights as safetensors.
fn weights(vocabulary: usize, successors: &[(usize, usize)], liked: &[usize]) -> Vec<u8> {
    let mut embeddings = signs(vocabulary * HIDDEN);
    let constant = embeddings.iter_mut().skip(CONSTANT).step_by(HIDDEN);
    constant.for_each(|value| *value = 1.0);
    let mut head = vec![0.0; vocabulary * HIDDEN];
    for &(from, to) in successors {
        let from = &embeddings[from * HIDDEN..][..HIDDEN];
        let row = head[to * HIDDEN..][..HIDDEN].iter_mut();
        row.zip(from).for_each(|(sum, value)| *sum += value);
    }
    for (&token, place) in liked.iter().zip(0_u8..) {
        head[token * HIDDEN + CONSTANT] += LIKING - LIKING_STEP * f32::from(place);
    }
    let mut file = Safetensors::default();
    file.add(
        "model.embed_tokens.weight",
        &[vocabulary, HIDDEN],
        &embeddings,
    );
    file.add("lm_head.weight", &[vocabulary, HIDDEN], &head);
    file.add("model.norm.weight", &[HIDDEN], &[1.0; HIDDEN]);
    for (name, shape, value) in [
        ("input_layernorm", &[HIDDEN][..], 1.0),
        ("post_attention_layernorm", &[HIDDEN], 1.0),
        ("self_attn.q_proj", &[8, HIDDEN], 0.0),
        ("self_attn.k_proj", &[8, HIDDEN], 0.0),
        ("self_attn.v_proj", &[8, HIDDEN], 0.0),
        ("self_attn.o_proj", &[HIDDEN, 8], 0.0),
        ("mlp.gate_proj", &[8, HIDDEN], 0.0),
        ("mlp.up_proj", &[8, HIDDEN], 0.0),
        ("mlp.down_proj", &[HIDDEN, 8], 0.0),
    ] {
        let values = vec![value; shape.iter().product()];
        file.add(&format!("model.layers.0.{name}.weight"), shape, &values);
    }
    file.bytes()
}

/// `count` times 1 or -1, the same in every run (xorshift64, Marsaglia 2003).
fn signs(count: usize) -> Vec<f32> {
    let mut state: u64 = 0x2545_f491_4f6c_dd1d;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state >> 63 == 0 { 1.0 } else { -1.0 }
    };
    (0..count).map(|_| next()).collect()
}

/// A file of tensors under construction: the length of a header, the header in JSON, the numbers.
#[derive(Default)]
struct Safetensors {
    header: serde_json::Map<String, Value>,
    data: Vec<u8>,
}

impl Safetensors {
    fn add(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let begin = self.data.len();
        self.data
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let offsets = [begin, self.data.len()];
        let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
        self.header.insert(name.to_owned(), tensor);
    }

    fn bytes(self) -> Vec<u8> {
        let header = Value::Object(self.header).to_string();
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &self.data].concat()
    }
}
