//! The image: nothing runs beneath it but QEMU. Built as `cargo build -p guest --profile guest --features image`; in any other
//! profile it is a program that says so.
#![cfg_attr(panic = "abort", no_std, no_main)]
#![cfg_attr(
    panic = "abort",
    expect(unsafe_code, reason = "a program on the bare machine: each block says why it holds")
)]

#[cfg(panic = "abort")]
extern crate alloc;

#[cfg(panic = "abort")]
mod image;

#[cfg(not(panic = "abort"))]
fn main() {
    panic!("build it with `--profile guest`: it runs on the bare machine alone");
}
