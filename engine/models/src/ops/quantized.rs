//! Products with quantized matrices in any of MLX's modes; mlx-rs has the affine one alone.

use std::ffi::CStr;

use mlx_rs::error::Result;
use mlx_rs::{Array, Stream};

use super::call;
use crate::layers::Quantized;
use crate::load::{Quantization, QuantizationMode};

/// `x @ weight`, or by its transpose.
pub(crate) fn matmul(x: &Array, weight: &Quantized, transpose: bool) -> Result<Array> {
    let [group_size, bits] = numbers(weight.how);
    let stream = Stream::thread_local_or_default();
    let biases = Optional::new(weight.biases.as_ref());
    // SAFETY: all handles outlive the call, and the mode is a C string.
    call("quantized_matmul", |result| unsafe {
        mlx_sys::mlx_quantized_matmul(
            result,
            x.as_ptr(),
            weight.packed.as_ptr(),
            weight.scales.as_ptr(),
            biases.0,
            transpose,
            group_size,
            bits,
            mode(weight.how).as_ptr(),
            stream.as_ptr(),
        )
    })
}

/// `[.., 1, in]`, of them those that the first `indices` name, each by the transpose of the matrix that the second name, to
/// `[.., 1, out]`.
pub(crate) fn gather_matmul(
    x: &Array,
    weight: &Quantized,
    indices: [&Array; 2],
    sorted: bool,
) -> Result<Array> {
    let [group_size, bits] = numbers(weight.how);
    let stream = Stream::thread_local_or_default();
    let biases = Optional::new(weight.biases.as_ref());
    // SAFETY: as in `matmul`.
    call("gather_qmm", |result| unsafe {
        mlx_sys::mlx_gather_qmm(
            result,
            x.as_ptr(),
            weight.packed.as_ptr(),
            weight.scales.as_ptr(),
            biases.0,
            indices[0].as_ptr(),
            indices[1].as_ptr(),
            true,
            group_size,
            bits,
            mode(weight.how).as_ptr(),
            sorted,
            stream.as_ptr(),
        )
    })
}

/// `[.., out, in]` in the type of the scales, or in bfloat16 where the scales are not numbers of the model.
pub(crate) fn dequantize(weight: &Quantized) -> Result<Array> {
    let [group_size, bits] = numbers(weight.how);
    let stream = Stream::thread_local_or_default();
    let biases = Optional::new(weight.biases.as_ref());
    let none = Optional::new(None);
    let as_is = mlx_sys::mlx_optional_dtype {
        value: mlx_sys::mlx_dtype__MLX_FLOAT32,
        has_value: false,
    };
    // SAFETY: as in `matmul`.
    call("dequantize", |result| unsafe {
        mlx_sys::mlx_dequantize(
            result,
            weight.packed.as_ptr(),
            weight.scales.as_ptr(),
            biases.0,
            group_size,
            bits,
            mode(weight.how).as_ptr(),
            none.0,
            as_is,
            stream.as_ptr(),
        )
    })
}

/// A matrix `[.., out, in]` packed, its scales and its biases, the last meaningless where the mode has none.
pub(crate) fn quantize(matrix: &Array, how: Quantization) -> Result<[Array; 3]> {
    let [group_size, bits] = numbers(how);
    let stream = Stream::thread_local_or_default();
    let none = Optional::new(None);
    // SAFETY: makes an empty list, which the call below fills and we free.
    let mut list = unsafe { mlx_sys::mlx_vector_array_new() };
    // SAFETY: as in `matmul`.
    let status = unsafe {
        mlx_sys::mlx_quantize(
            &raw mut list,
            matrix.as_ptr(),
            group_size,
            bits,
            mode(how).as_ptr(),
            none.0,
            stream.as_ptr(),
        )
    };
    // SAFETY: the list is valid, filled or empty.
    let count = unsafe { mlx_sys::mlx_vector_array_size(list) };
    let part = |at: usize| {
        call("quantize", |result| {
            if status != 0 || count == 0 {
                return 1;
            }
            // SAFETY: the index is below the list's size.
            unsafe { mlx_sys::mlx_vector_array_get(result, list, at.min(count - 1)) }
        })
    };
    let parts = [part(0), part(1), part(2)];
    // SAFETY: the list is ours and not used again. A failure leaves nothing to do.
    let _ = unsafe { mlx_sys::mlx_vector_array_free(list) };
    let [packed, scales, biases] = parts;
    Ok([packed?, scales?, biases?])
}

fn numbers(how: Quantization) -> [mlx_sys::mlx_optional_int; 2] {
    [how.group_size, how.bits].map(|value| mlx_sys::mlx_optional_int {
        value,
        has_value: true,
    })
}

fn mode(how: Quantization) -> &'static CStr {
    match how.mode {
        QuantizationMode::Affine => c"affine",
        QuantizationMode::Mxfp4 => c"mxfp4",
        QuantizationMode::Mxfp8 => c"mxfp8",
        QuantizationMode::Nvfp4 => c"nvfp4",
    }
}

/// An array's handle, or one that stands for none; the latter is ours and freed.
struct Optional(mlx_sys::mlx_array, bool);

impl Optional {
    fn new(array: Option<&Array>) -> Self {
        match array {
            Some(array) => Self(array.as_ptr(), false),
            // SAFETY: makes an empty handle.
            None => Self(unsafe { mlx_sys::mlx_array_new() }, true),
        }
    }
}

impl Drop for Optional {
    fn drop(&mut self) {
        if self.1 {
            // SAFETY: the empty handle is ours and not used again. A failure leaves nothing to do.
            let _ = unsafe { mlx_sys::mlx_array_free(self.0) };
        }
    }
}
