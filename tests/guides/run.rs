//! Types guides: each step until it prints what the guide shows, at most so long.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::expectation::matches;
use crate::guide::{Guide, Step};
use crate::shell::{Shell, Typed};

/// Configuration is live within milliseconds; a machine that is busy with everything else needs longer. Only what fails waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Steps that take longer are named in the output.
const SLOW: Duration = Duration::from_secs(10);

/// Runs guides, so many at once; what went wrong, in words.
pub(crate) fn all(cluster: &Cluster, guides: &[&Guide], at_once: usize) -> Vec<String> {
    let waiting = Mutex::new(guides.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("guides").next();
                    let Some(guide) = next else { return };
                    let began = Instant::now();
                    match one(cluster, guide) {
                        Ok(()) => eprintln!(
                            "{}.md: {} steps, {:.1?}",
                            guide.name,
                            guide.steps.len(),
                            began.elapsed()
                        ),
                        Err(failure) => failures.lock().expect("failures").push(failure),
                    }
                }
            });
        }
    });
    failures.into_inner().expect("failures")
}

fn one(cluster: &Cluster, guide: &Guide) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    // As if it were typed in the folder of the guides, without leaving anything there.
    let samples = crate::guide::folder().join("samples");
    std::os::unix::fs::symlink(samples, folder.path().join("samples"))
        .map_err(|error| format!("samples: {error}"))?;
    let environment = cluster.environment(folder.path());
    let mut shell = Shell::open(folder.path(), &environment).map_err(|error| format!("bash: {error}"))?;
    for step in &guide.steps {
        let began = Instant::now();
        let done = typed(&mut shell, step);
        if began.elapsed() > SLOW {
            eprintln!("{}.md:{}: {:.1?}", guide.name, step.line, began.elapsed());
        }
        if let Err(failure) = done {
            let failure = format!("docs/guides/{}.md:{failure}\n{}", guide.name, cluster.state());
            // The last step cleans up, for the sake of the others.
            drop(shell);
            if let (Ok(mut shell), Some(last)) =
                (Shell::open(folder.path(), &environment), guide.steps.last())
            {
                let _best_effort = shell.run(&last.commands, last.line);
            }
            return Err(failure);
        }
    }
    Ok(())
}

fn typed(shell: &mut Shell, step: &Step) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let typed =
            shell.run(&step.commands, step.line).map_err(|error| format!("{}: {error}", step.line))?;
        let Some(problem) = problem(step, &typed) else { return Ok(()) };
        // Only what shows something is typed again: the reader's eye waits, not his hand.
        if step.expected.is_none() || !typed.ended || Instant::now() > deadline {
            return Err(problem);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn problem(step: &Step, typed: &Typed) -> Option<String> {
    let printed = typed.printed.trim_end();
    if !typed.ended {
        return Some(format!("{}: this did not end; it printed:\n{printed}\n{}", step.line, step.commands));
    }
    match (&step.expected, typed.failed) {
        (Some(expected), _) if matches(expected, &typed.printed) => None,
        (Some(expected), _) => {
            Some(format!("{}: this\n{}printed\n{printed}\ninstead of\n{expected}", step.line, step.commands))
        }
        (None, Some(line)) => Some(format!("{line}: this failed; the block printed:\n{printed}")),
        (None, None) => None,
    }
}
