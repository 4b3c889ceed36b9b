//! The answer: vectors as they were asked for. Pure.

use base::{Embedded, Failure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::convert::Encoding;
use crate::openai::convert::invalid;

/// `OpenAI`'s list of embeddings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::Embeddings)]
pub(super) struct Answer {
    object: &'static str,
    data: Vec<EmbeddingOut>,
    model: String,
    usage: Usage,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::Embedding)]
struct EmbeddingOut {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = openai::EmbeddingVector)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = openai::EmbeddingsUsage)]
struct Usage {
    prompt_tokens: u32,
    total_tokens: u32,
}

impl Answer {
    /// Of what the model made, the first `dimensions` of each vector.
    pub(super) fn new(
        embedded: Embedded,
        encoding: Encoding,
        dimensions: Option<usize>,
    ) -> Result<Self, Failure> {
        let mut data = Vec::with_capacity(embedded.vectors.len());
        for (index, vector) in embedded.vectors.into_iter().enumerate() {
            let vector = match dimensions {
                Some(dimensions) => first(vector, dimensions)?,
                None => vector,
            };
            data.push(EmbeddingOut {
                object: "embedding",
                index,
                embedding: encoded(vector, encoding),
            });
        }
        Ok(Self {
            object: "list",
            data,
            model: embedded.model,
            usage: Usage {
                prompt_tokens: embedded.prompt_tokens,
                total_tokens: embedded.prompt_tokens,
            },
        })
    }
}

/// The first `dimensions` of a vector, made as long as it was: 1.
fn first(mut vector: Vec<f32>, dimensions: usize) -> Result<Vec<f32>, Failure> {
    if dimensions > vector.len() {
        let width = vector.len();
        let message =
            format!("this model's vectors have {width} dimensions, fewer than {dimensions}");
        let failure = invalid(message, "dimensions");
        return Err(failure.hint(format!("ask for at most {width}")));
    }
    vector.truncate(dimensions);
    let squares: f64 = vector.iter().map(|&one| f64::from(one).powi(2)).sum();
    if squares > 0.0 {
        let length = squares.sqrt();
        for one in &mut vector {
            *one = (f64::from(*one) / length) as f32;
        }
    }
    Ok(vector)
}

fn encoded(vector: Vec<f32>, encoding: Encoding) -> Vector {
    match encoding {
        Encoding::Float => Vector::Float(vector),
        Encoding::Base64 => {
            let bytes = vector.iter().flat_map(|one| one.to_le_bytes());
            Vector::Base64(STANDARD.encode(bytes.collect::<Vec<u8>>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn embedded() -> Embedded {
        Embedded {
            model: "m".into(),
            vectors: vec![vec![0.6, 0.0, -0.8], vec![0.0, 0.0, 1.0]],
            prompt_tokens: 5,
            loading: std::time::Duration::ZERO,
        }
    }

    #[track_caller]
    fn check(encoding: Encoding, dimensions: Option<usize>, expected: &Expect) {
        let answer = Answer::new(embedded(), encoding, dimensions).unwrap();
        expected.assert_eq(&serde_json::to_string_pretty(&answer.data).unwrap());
    }

    #[test]
    fn vectors_as_numbers_and_as_bytes() {
        let whole = Answer::new(embedded(), Encoding::Float, None).unwrap();
        expect![[r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.6,0.0,-0.8]},{"object":"embedding","index":1,"embedding":[0.0,0.0,1.0]}],"model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#]]
        .assert_eq(&serde_json::to_string(&whole).unwrap());
        check(
            Encoding::Base64,
            Some(3),
            &expect![[r#"
            [
              {
                "object": "embedding",
                "index": 0,
                "embedding": "mpkZPwAAAADNzEy/"
              },
              {
                "object": "embedding",
                "index": 1,
                "embedding": "AAAAAAAAAAAAAIA/"
              }
            ]"#]],
        );
    }

    #[test]
    fn fewer_dimensions_have_the_length_one_again() {
        check(
            Encoding::Float,
            Some(2),
            &expect![[r#"
            [
              {
                "object": "embedding",
                "index": 0,
                "embedding": [
                  1.0,
                  0.0
                ]
              },
              {
                "object": "embedding",
                "index": 1,
                "embedding": [
                  0.0,
                  0.0
                ]
              }
            ]"#]],
        );
        let failure = Answer::new(embedded(), Encoding::Float, Some(4)).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("dimensions"));
        assert!(failure.message.contains('3'), "{failure}");
    }
}
