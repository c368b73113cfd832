//! Has the image linked as one that starts by itself: at its own address, without what an operating system would need.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rerun-if-changed=link.ld");
    for argument in [
        "-no-pie",
        "-static",
        "-nostartfiles",
        &format!("-Wl,-T,{folder}/link.ld"),
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        "-Wl,-z,max-page-size=4096",
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
