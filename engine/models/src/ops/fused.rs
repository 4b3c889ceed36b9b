//! Functions of elements that run as one operation where MLX has kernels: it makes one of each by compiling it.

use std::cell::RefCell;
use std::collections::HashMap;

use mlx_rs::Array;
use mlx_rs::error::Result;
use mlx_rs::transforms::compile::compile;

use super::kernels;

/// Of arrays that are broadcast to one shape, by operations on elements alone. It must not hold arrays of its own.
pub(crate) type OfElements = fn(&[Array]) -> Result<Array>;

type Compiled = Box<dyn FnMut(&[Array]) -> Result<Vec<Array>>>;

thread_local! {
    /// By the function's address.
    static COMPILED: RefCell<HashMap<usize, Compiled>> = RefCell::default();
}

/// What `function` makes of `inputs`. Always called from the device's thread, so that each is compiled once.
pub(crate) fn fused(function: OfElements, inputs: &[&Array]) -> Result<Array> {
    let inputs: Vec<Array> = inputs.iter().map(|&input| input.clone()).collect();
    if !kernels::are_here() {
        return function(&inputs);
    }
    COMPILED.with_borrow_mut(|compiled| {
        let compiled = compiled.entry(function as usize).or_insert_with(|| {
            let several = move |inputs: &[Array]| function(inputs).map(|output| vec![output]);
            Box::new(compile(several, true))
        });
        let mut outputs = compiled(&inputs)?;
        Ok(outputs.swap_remove(0))
    })
}
