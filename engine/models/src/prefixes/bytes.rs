//! Blocks as bytes, and back. On the device thread.

use mlx_rs::error::{Exception, Result};
use mlx_rs::transforms::eval;
use mlx_rs::{Array, Dtype};

use super::Block;
use super::file::{Arrays, Form};

/// The types a cache may have; their places here are their numbers in files.
const DTYPES: [(Dtype, usize); 4] = [
    (Dtype::Float32, 4),
    (Dtype::Float16, 2),
    (Dtype::Bfloat16, 2),
    // What is quantized is packed in them.
    (Dtype::Uint32, 4),
];

/// Size of an element, by the number of its type.
pub(super) fn of_element(dtype: u32) -> Option<usize> {
    DTYPES.get(dtype as usize).map(|(_, bytes)| *bytes)
}

/// How many bytes a block has.
pub(super) fn count(block: &[Array]) -> u64 {
    block.iter().map(|array| array.nbytes() as u64).sum()
}

/// A block's arrays as bytes; `None` if they are of another type than files have.
pub(super) fn of(block: &[Array]) -> Result<Option<Arrays>> {
    let mut forms = Vec::with_capacity(block.len());
    let mut views = Vec::with_capacity(block.len());
    for array in block {
        let Some(dtype) = DTYPES.iter().position(|(dtype, _)| *dtype == array.dtype()) else {
            return Ok(None);
        };
        forms.push(Form {
            dtype: dtype as u32,
            shape: array.shape().to_vec(),
        });
        views.push(array.contiguous()?.view_dtype(Dtype::Uint8)?);
    }
    eval(&views)?;
    let mut places = Vec::with_capacity(views.len());
    let mut bytes = Vec::with_capacity(count(block) as usize);
    for view in &views {
        let start = bytes.len();
        let own = view.try_as_slice::<u8>();
        bytes.extend_from_slice(own.map_err(|error| Exception::custom(error.to_string()))?);
        places.push(start..bytes.len());
    }
    Ok(Some(Arrays {
        forms,
        places,
        bytes,
    }))
}

/// The block that was made to these bytes.
pub(super) fn to_block(arrays: &Arrays) -> Result<Block> {
    let mut whole = Vec::with_capacity(arrays.forms.len());
    for (form, place) in arrays.forms.iter().zip(&arrays.places) {
        let Some((dtype, element_bytes)) = DTYPES.get(form.dtype as usize) else {
            return Err("a block of an unknown type".into());
        };
        let mut shape = form.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last *= *element_bytes as i32;
        }
        let bytes = Array::from_slice(&arrays.bytes[place.clone()], &shape);
        whole.push(bytes.view_dtype(*dtype)?);
    }
    eval(&whole)?;
    Ok(whole)
}
