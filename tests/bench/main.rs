//! Measures the proxy beside Envoy, nginx and HAProxy on this machine: CPU time per request, latency at a fixed rate,
//! memory and start, every subject in turn, round after round, and prints ratios to Envoy. `docs/benchmarks.md` says how to
//! read the table.

mod affinity;
mod arguments;
mod backend;
mod case;
mod certificates;
mod load;
mod process;
mod sample;
mod subject;
mod table;

use anyhow::Context;
use clap::Parser;

use arguments::Arguments;
use case::Bench;

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let programs = subject::Programs::find(&arguments);
    for missing in programs.missing() {
        println!("not available, left out: {missing}");
    }
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let certificates = certificates::Certificates::write(folder.path())?;
    affinity::describe();
    let backend = backend::start(arguments.body)?;
    let bench = Bench { arguments, programs, folder: folder.path().to_owned(), certificates, backend };
    for case in bench.arguments.cases() {
        let results = bench.run(case)?;
        table::print(case, &results);
    }
    Ok(())
}
