//! Whether tshark is here: two tests ask for its opinion, and are listed as ignored, with the reason, where it is not. With
//! `CI=true` they are never ignored: there a missing tshark fails them.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=CI");
    println!("cargo::rustc-check-cfg=cfg(has_tshark)");
    let in_ci = env::var("CI").is_ok_and(|value| value == "true");
    let path = env::var_os("PATH").unwrap_or_default();
    if in_ci || env::split_paths(&path).any(|folder| folder.join("tshark").is_file()) {
        println!("cargo::rustc-cfg=has_tshark");
    }
}
