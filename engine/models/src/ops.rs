//! Operations that mlx-rs does not wrap, or wraps with more work than a step can afford.

#[cfg(test)]
pub(crate) mod emulated;
pub(crate) mod fused;
pub(crate) mod kernels;
pub(crate) mod quantized;

use std::ops::Range;

use mlx_rs::error::{Exception, Result};
use mlx_rs::{Array, Stream};

/// Calls a function of mlx-c that writes one array and returns a status.
pub(crate) fn call(
    name: &str,
    function: impl FnOnce(*mut mlx_sys::mlx_array) -> i32,
) -> Result<Array> {
    // SAFETY: makes an empty handle, which owns nothing until the call below sets it.
    let mut handle = unsafe { mlx_sys::mlx_array_new() };
    let status = function(&raw mut handle);
    // SAFETY: the handle is ours alone, set or still empty; `Array` frees either.
    let array = unsafe { Array::from_ptr(handle) };
    if status == 0 {
        Ok(array)
    } else {
        Err(Exception::custom(format!("{name} was refused")))
    }
}

/// An axis, and a range of it.
pub(crate) type Along = (usize, Range<i32>);

/// The part of `array` that lies in these ranges of these axes, and in all of the others.
pub(crate) fn slice(array: &Array, along: &[Along]) -> Result<Array> {
    let (starts, stops, strides) = bounds(array.shape(), along);
    let stream = Stream::thread_local_or_default();
    // SAFETY: the three lists have the array's number of dimensions and outlive the call.
    call("slice", |result| unsafe {
        mlx_sys::mlx_slice(
            result,
            array.as_ptr(),
            starts.as_ptr(),
            starts.len(),
            stops.as_ptr(),
            stops.len(),
            strides.as_ptr(),
            strides.len(),
            stream.as_ptr(),
        )
    })
}

/// `array` with that part of it replaced by `update`. MLX does it in place when nobody else holds `array`.
pub(crate) fn slice_update(array: &Array, update: &Array, along: &[Along]) -> Result<Array> {
    let (starts, stops, strides) = bounds(array.shape(), along);
    let stream = Stream::thread_local_or_default();
    // SAFETY: as in `slice`.
    call("slice_update", |result| unsafe {
        mlx_sys::mlx_slice_update(
            result,
            array.as_ptr(),
            update.as_ptr(),
            starts.as_ptr(),
            starts.len(),
            stops.as_ptr(),
            stops.len(),
            strides.as_ptr(),
            strides.len(),
            stream.as_ptr(),
        )
    })
}

/// `array` with what lies at each of some `indices` of two `axes` replaced: `updates` has an axis for the indices, then all
/// of the array's. In place as `slice_update`.
pub(crate) fn scatter(
    array: &Array,
    indices: [&Array; 2],
    updates: &Array,
    axes: [usize; 2],
) -> Result<Array> {
    let handles = indices.map(Array::as_ptr);
    let axes = axes.map(|axis| axis as i32);
    let stream = Stream::thread_local_or_default();
    // SAFETY: the list copies the handles, which outlive the call.
    let list = unsafe { mlx_sys::mlx_vector_array_new_data(handles.as_ptr(), handles.len()) };
    // SAFETY: as in `slice`.
    let scattered = call("scatter", |result| unsafe {
        mlx_sys::mlx_scatter(
            result,
            array.as_ptr(),
            list,
            updates.as_ptr(),
            axes.as_ptr(),
            axes.len(),
            stream.as_ptr(),
        )
    });
    // SAFETY: the list is ours and not used again. A failure leaves nothing to do.
    let _ = unsafe { mlx_sys::mlx_vector_array_free(list) };
    scattered
}

fn bounds(shape: &[i32], along: &[Along]) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let mut starts = vec![0; shape.len()];
    let mut stops = shape.to_vec();
    for (axis, range) in along {
        starts[*axis] = range.start;
        stops[*axis] = range.end;
    }
    (starts, stops, vec![1; shape.len()])
}
