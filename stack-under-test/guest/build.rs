//! Says which protocol library and image speak, and has the image linked as one that starts by itself: at its own address, without what an operating system would need.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rerun-if-changed=link.ld");
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rustc-env=WIREPROOF_PROTOCOL={:016x}", protocol(&folder));
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

/// A hash (FNV-1a) of what defines messages: the files of the library.
fn protocol(folder: &str) -> u64 {
    let entries = std::fs::read_dir(format!("{folder}/src")).expect("the sources are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.sort();
    let bytes = paths.iter().flat_map(|path| std::fs::read(path).expect("a source can be read"));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
