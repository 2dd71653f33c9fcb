//! Measures the analysis of a large mesh, and writes the file it measures.
//!
//! `mesh generate COUNT > mesh.yaml` writes COUNT VirtualServices of two routes and three destinations, each of a subset that no
//! DestinationRule defines. `mesh measure mesh.yaml` reads, analyses, finds the places and writes the messages, and says on stderr
//! what each step took, and the most memory that was in use.

use std::io::{BufWriter, Write};
use std::time::Instant;

use sagene_analysis::Input;
use sagene_analysis::input::load;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", count] => generate(count.parse().unwrap_or(50_000)),
        ["measure", path] => measure(path),
        _ => {
            eprintln!("usage: mesh generate COUNT | mesh measure FILE");
            std::process::exit(64)
        }
    }
}

fn generate(count: usize) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for number in 0..count {
        let namespace = format!("team-{:03}", number % 200);
        let name = format!("service-{number:06}");
        write!(
            out,
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  \
             labels:\n    app: {name}\nspec:\n  hosts:\n  - {name}\n  http:\n  - match:\n    - headers:\n        end-user:\n          \
             exact: tester\n    route:\n    - destination:\n        host: {name}\n        subset: canary\n  - route:\n    \
             - destination:\n        host: {name}\n        subset: v1\n      weight: 90\n    - destination:\n        host: {name}\n        \
             subset: v2\n      weight: 10\n    timeout: 5s\n"
        )?;
    }
    out.flush()
}

fn measure(path: &str) -> std::io::Result<()> {
    let begin = Instant::now();
    let mut last = begin;
    let mut step = |what: &str| {
        let now = Instant::now();
        eprintln!("{what:>10} {:>7.1} ms", (now - last).as_secs_f64() * 1e3);
        last = now;
    };
    let text = std::fs::read_to_string(path)?;
    step("read");
    let mut input = Input { files_alone: true, ..Input::default() };
    let errors = load(&mut input, path, text, "default");
    step("load");
    let messages = sagene_analysis::analyze(&input);
    step("analyze");
    let locations = input.locations(&messages.iter().collect::<Vec<_>>());
    step("locate");
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    for (message, location) in messages.iter().zip(&locations) {
        let place = location.as_ref().map(|it| format!(" {}:{}", it.file, it.line)).unwrap_or_default();
        writeln!(out, "{} ({}{place}) {}", message.code.id(), message.object.origin(), message.text)?;
    }
    out.flush()?;
    step("write");
    eprintln!(
        "{} messages, {} unreadable, {:.1} ms, {} MB",
        messages.len(),
        errors.len(),
        begin.elapsed().as_secs_f64() * 1e3,
        peak_memory()?
    );
    Ok(())
}

/// The most memory that this process has had in use, in MB.
fn peak_memory() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes =
        line.and_then(|line| line.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
    Ok(kilobytes.unwrap_or_default() / 1024)
}
