//! Options of the linker that make the released program smaller, where what links it is known to understand them. What they give stands in
//! `docs/decisions/0003-release-profile.md`.

use std::env;
use std::fs;

/// The first minor version of glibc 2 that relocates a static program whose relocations are packed.
const PACKED_RELOCATIONS: u32 = 36;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // For this target the compiler brings its own linker; another one may know none of these options.
    let own_linker = is("TARGET", "x86_64-unknown-linux-gnu") && env::var_os("RUSTC_LINKER").is_none();
    if !is("PROFILE", "release") || !own_linker {
        return;
    }
    // Functions that came out the same are there once. Nothing here compares functions by their addresses.
    println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
    if glibc_minor_version().is_some_and(|minor| minor >= PACKED_RELOCATIONS) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The header that says which C library is linked.
const FEATURES: &str = "/usr/include/features.h";

fn glibc_minor_version() -> Option<u32> {
    let header = fs::read_to_string(FEATURES).ok()?;
    println!("cargo:rerun-if-changed={FEATURES}");
    let words: Vec<&str> = header.split_whitespace().collect();
    let found = words.windows(3).find(|line| line[..2] == ["#define", "__GLIBC_MINOR__"]);
    found?[2].parse().ok()
}
