//! What rank 0 reads of a step's last hidden states: logits to sample from, and sums of hidden states for the vectors of
//! prompts.

use std::ops::Range;

use infer::{Logits, Row, StepOutput};
use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;
use mlx_rs::{Array, Dtype};

use crate::layers::{Ends, RowSpan};
use crate::ops::slice;

/// What the rows of a step want, not evaluated yet.
pub(crate) struct Wanted {
    /// `[tokens, hidden]`.
    hidden: Array,
    /// `[positions, vocabulary]` of f32.
    logits: Option<Array>,
    /// `[hidden]` of f32 each.
    pooled: Vec<Array>,
}

impl Wanted {
    /// Of the rows of these hidden states, `[tokens, hidden]`.
    pub(crate) fn of(ends: &Ends, hidden: &Array, rows: &[(&Row, &RowSpan)]) -> Result<Self> {
        Ok(Self {
            logits: logits(ends, hidden, rows)?,
            pooled: pooled(ends, hidden, rows)?,
            hidden: hidden.clone(),
        })
    }

    /// What is to be evaluated.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        let wanted = self.logits.iter().chain(&self.pooled);
        let is_nothing = self.logits.is_none() && self.pooled.is_empty();
        wanted.chain(is_nothing.then_some(&self.hidden))
    }

    /// Evaluates it. `rows` are the same.
    pub(crate) fn read(self, rows: &[(&Row, &RowSpan)]) -> Result<StepOutput> {
        eval(self.arrays())?;
        let mut output = StepOutput::default();
        if let Some(logits) = &self.logits {
            output.logits = dealt_out(floats(logits)?, rows, logits.dim(1) as usize);
        }
        for pooled in &self.pooled {
            output.hidden.push(floats(pooled)?.to_vec());
        }
        Ok(output)
    }
}

/// Puts what a row has into the output of the others, where its place is: `before` are the rows of the plan before it. Rows
/// after it that are computed later find their places in the same way.
pub(crate) fn insert<'a>(
    output: &mut StepOutput,
    own: StepOutput,
    before: impl Iterator<Item = &'a Row>,
) {
    let (mut logits, mut hidden) = (0, 0);
    for row in before {
        logits += usize::from(row.outputs.logits(1) > 0);
        hidden += usize::from(row.outputs.hidden(1) > 0);
    }
    let at = logits.min(output.logits.len());
    output.logits.splice(at..at, own.logits);
    let at = hidden.min(output.hidden.len());
    output.hidden.splice(at..at, own.hidden);
}

/// Those of all positions that any row wants logits of, `[positions, vocabulary]`.
fn logits(ends: &Ends, hidden: &Array, rows: &[(&Row, &RowSpan)]) -> Result<Option<Array>> {
    let wanted = |(row, span): &(&Row, &RowSpan)| last(span, row.outputs.logits(row.tokens.len()));
    let positions: Vec<i32> = rows.iter().flat_map(wanted).collect();
    let count = positions.len() as i32;
    let wanted = match count {
        0 => return Ok(None),
        all if all == hidden.dim(0) => hidden.clone(),
        some => hidden.take_axis(Array::from_slice(&positions, &[some]), 0)?,
    };
    let logits = ends.logits(&wanted)?.as_dtype(Dtype::Float32)?;
    logits.contiguous().map(Some)
}

/// The sum of each row's hidden states, `[hidden]`, for the rows that want any.
fn pooled(ends: &Ends, hidden: &Array, rows: &[(&Row, &RowSpan)]) -> Result<Vec<Array>> {
    let mut pooled = Vec::new();
    for (row, span) in rows {
        let wanted = last(span, row.outputs.hidden(row.tokens.len()));
        if !wanted.is_empty() {
            let states = ends.normed(&slice(hidden, &[(0, wanted)])?)?;
            let sum = states.as_dtype(Dtype::Float32)?.sum_axis(0, None)?;
            pooled.push(sum.contiguous()?);
        }
    }
    Ok(pooled)
}

/// Where a row's last `count` positions lie among the step's tokens.
fn last(span: &RowSpan, count: usize) -> Range<i32> {
    let end = span.first + span.tokens;
    end - count as i32..end
}

/// The logits of each row that asked for some.
fn dealt_out(mut values: &[f32], rows: &[(&Row, &RowSpan)], vocabulary: usize) -> Vec<Logits> {
    let mut logits = Vec::new();
    for (row, _) in rows {
        let positions = row.outputs.logits(row.tokens.len());
        if positions > 0 {
            let (own, rest) = values.split_at(positions * vocabulary);
            logits.push(Logits {
                vocabulary,
                values: own.to_vec(),
            });
            values = rest;
        }
    }
    logits
}

fn floats(array: &Array) -> Result<&[f32]> {
    let floats = array.try_as_slice::<f32>();
    floats.map_err(|error| Exception::custom(error.to_string()))
}
