//! Our stack and driver as a guest on the bare machine, under QEMU, on a NIC that we did not write.

mod crash;
mod image;
mod machine;
mod program;
