//! Steps whose graph is built while another one is computed: the host's work for a step of answers is then done when the
//! tokens that it starts from are known.
//!
//! What comes after a step of answers is most likely the next token of each. Its graph depends on which tokens these are by
//! one small array, and that is written when they are known, just before the graph is computed. Should something else come,
//! the graph is dropped, and layers hold again what they held before it was built.

use infer::{Outputs, Row, SlotId, StepOutput};
use mlx_rs::Array;
use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::async_eval;

use crate::layers::{Before, RowSpan};
use crate::outputs::Wanted;

/// A step's graph.
pub(crate) struct Built {
    pub(crate) leaving: Leaving,
    /// States that sequences have come to, which no output need depend on.
    pub(crate) states: Vec<Array>,
}

/// What comes of a step on this rank.
pub(crate) enum Leaving {
    /// What rank 0 reads.
    Read(Wanted),
    /// What goes to another rank, or to none.
    Sent(Array),
}

/// The graph of the step that probably comes next.
pub(crate) struct Ahead {
    slots: Vec<Next>,
    /// `[tokens]` of u32, to be written into.
    tokens: Array,
    before: Before,
    built: Built,
}

/// A row of it: the next token of a sequence.
type Next = (SlotId, u32);

impl Built {
    /// Has it computed, without waiting for it.
    pub(crate) fn start(&self) -> Result<()> {
        let own: Vec<&Array> = match &self.leaving {
            Leaving::Read(wanted) => wanted.arrays().collect(),
            Leaving::Sent(sent) => vec![sent],
        };
        async_eval(own.into_iter().chain(&self.states))
    }

    /// Waits for what the rows want.
    pub(crate) fn finish(self, rows: &[(&Row, &RowSpan)]) -> Result<StepOutput> {
        match self.leaving {
            Leaving::Read(wanted) => wanted.read(rows),
            Leaving::Sent(sent) => {
                sent.eval()?;
                Ok(StepOutput::default())
            }
        }
    }
}

impl Ahead {
    pub(crate) fn new(rows: &[Row], tokens: Array, before: Before, built: Built) -> Self {
        Self {
            slots: rows.iter().filter_map(answered).collect(),
            tokens,
            before,
            built,
        }
    }

    /// The graph of these rows, if they are those it was built for; otherwise what layers held before.
    pub(crate) fn of(self, rows: &[Row]) -> std::result::Result<Result<Built>, Before> {
        let wanted: Option<Vec<Next>> = rows.iter().map(answered).collect();
        if wanted.as_ref() != Some(&self.slots) {
            return Err(self.before);
        }
        let tokens: Vec<u32> = rows.iter().flat_map(|row| &row.tokens).copied().collect();
        Ok(write(&self.tokens, &tokens).map(|()| self.built))
    }
}

/// What a row of one token, whose logits are wanted, is about.
fn answered(row: &Row) -> Option<Next> {
    let is_answer = row.tokens.len() == 1 && row.outputs == Outputs::Last && row.layers.is_none();
    is_answer.then_some((row.slot, row.start))
}

/// The rows that follow these, with any tokens; `None` if they are not all of answers.
pub(crate) fn following(rows: &[Row]) -> Option<Vec<Row>> {
    let next = |row: &Row| {
        answered(row).map(|(slot, start)| Row {
            slot,
            start: start + 1,
            tokens: vec![0],
            layers: None,
            outputs: Outputs::Last,
        })
    };
    rows.iter().map(next).collect()
}

/// Writes the elements of an array of u32 that nothing was computed of yet.
fn write(array: &Array, values: &[u32]) -> Result<()> {
    // SAFETY: the array is alive; the function only says where its elements are.
    let data = unsafe { mlx_sys::mlx_array_data_uint32(array.as_ptr()) }.cast_mut();
    if data.is_null() || array.size() != values.len() {
        return Err(Exception::custom("no such place for tokens"));
    }
    // SAFETY: the array was made of a slice of as many u32, so that its elements lie in order in memory of its own, which hosts
    // and devices share. Nobody reads it now: of what was built of it nothing has been given to a device.
    unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), data, values.len()) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_what_was_built_of_tokens_is_computed_of_those_written_later() {
        let tokens = Array::from_slice(&[0_u32, 0], &[2]);
        let table = Array::from_slice(&[1.0_f32, 2.0, 3.0], &[3]);
        let built = table.take_axis(&tokens, 0).unwrap();
        write(&tokens, &[2, 1]).unwrap();
        assert_eq!(built.to_vec_exact::<f32>().unwrap(), [3.0, 2.0]);
    }

    #[test]
    fn test_only_rows_of_answers_are_followed() {
        let row = |tokens: Vec<u32>, outputs| Row {
            slot: SlotId(1),
            start: 5,
            tokens,
            layers: None,
            outputs,
        };
        let next = following(&[row(vec![7], Outputs::Last)]).unwrap();
        assert_eq!(
            next,
            [Row {
                start: 6,
                ..row(vec![0], Outputs::Last)
            }]
        );
        assert_eq!(following(&[row(vec![7, 8], Outputs::Last)]), None);
        assert_eq!(following(&[row(vec![7], Outputs::None)]), None);
    }
}
