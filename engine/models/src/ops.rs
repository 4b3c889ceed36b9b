//! Operations that mlx-rs does not wrap, or wraps with more work than a step can afford.

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

/// `array[.., start..stop, ..]` along `axis`.
pub(crate) fn slice(array: &Array, axis: usize, start: i32, stop: i32) -> Result<Array> {
    let (starts, stops, strides) = bounds(array.shape(), axis, start, stop);
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

/// `array` with `array[.., start..stop, ..]` along `axis` replaced by `update`. MLX does it in place when nobody else
/// holds `array`.
pub(crate) fn slice_update(
    array: &Array,
    update: &Array,
    axis: usize,
    start: i32,
    stop: i32,
) -> Result<Array> {
    let (starts, stops, strides) = bounds(array.shape(), axis, start, stop);
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

fn bounds(shape: &[i32], axis: usize, start: i32, stop: i32) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let mut starts = vec![0; shape.len()];
    let mut stops = shape.to_vec();
    starts[axis] = start;
    stops[axis] = stop;
    (starts, stops, vec![1; shape.len()])
}
