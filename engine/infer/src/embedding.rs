//! The vector of a prompt, from the hidden states of its tokens as they are computed.

use base::Pooling;

use crate::backend::Outputs;

/// A vector that is not whole yet.
#[derive(Debug)]
pub struct Embedding {
    pooling: Pooling,
    /// Of all hidden states so far that count. Empty before the first.
    sum: Vec<f32>,
}

impl Embedding {
    /// Of no token yet.
    pub fn new(pooling: Pooling) -> Self {
        let sum = Vec::new();
        Self { pooling, sum }
    }

    /// What it needs of the next tokens.
    pub fn outputs(&self, are_last: bool) -> Outputs {
        match self.pooling {
            Pooling::Mean => Outputs::HiddenSum,
            Pooling::Last if are_last => Outputs::HiddenLast,
            Pooling::Last => Outputs::None,
        }
    }

    /// Takes in what it needed.
    pub fn add(&mut self, hidden: &[f32]) {
        if self.sum.is_empty() {
            self.sum = hidden.to_vec();
        } else {
            for (sum, one) in self.sum.iter_mut().zip(hidden) {
                *sum += one;
            }
        }
    }

    /// With the length 1, where a mean is the same as a sum. `None` if it has no direction.
    pub fn normalized(&self) -> Option<Vec<f32>> {
        let squares = self.sum.iter().map(|&one| f64::from(one).powi(2));
        let length = squares.sum::<f64>().sqrt();
        let scaled = |&one: &f32| (f64::from(one) / length) as f32;
        (length.is_normal()).then(|| self.sum.iter().map(scaled).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_the_length_one() {
        let mut embedding = Embedding::new(Pooling::Mean);
        embedding.add(&[1.0, 0.0]);
        embedding.add(&[2.0, 4.0]);
        assert_eq!(embedding.normalized(), Some(vec![0.6, 0.8]));
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for bad in [&[][..], &[0.0, 0.0], &[f32::NAN], &[f32::INFINITY, 1.0]] {
            let mut embedding = Embedding::new(Pooling::Last);
            embedding.add(bad);
            assert_eq!(embedding.normalized(), None, "{bad:?}");
        }
    }
}
