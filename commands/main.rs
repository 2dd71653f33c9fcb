//! The `sagene` binary: parse, build the context, run one command, exit with its code.

fn main() {}
