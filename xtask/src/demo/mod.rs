//! `cargo xtask demo`: Portico at work against a real control plane and a sandbox of Konnect and ACP, step by
//! step.

mod acp;
mod api;
mod operator;
mod shell;
mod steps;
mod world;

use std::{
    thread,
    time::{Duration, Instant},
};

use self::{
    steps::{Step, TOUR},
    world::{NAMESPACE, World},
};
use crate::Outcome;

/// Takes the tour. With `once` that is all; otherwise everything stays up until Ctrl-C.
pub(crate) fn run(once: bool) -> Outcome {
    let started = Instant::now();
    let mut world = World::start()?;
    println!("Everything is up after {:.1} s.", started.elapsed().as_secs_f64());
    let results = tour(&mut world);
    summary(&results);
    let as_told = results.iter().filter(|(passed, _)| *passed).count();
    let verdict = shell::expect(
        as_told == TOUR.len(),
        format!("{as_told} of {} steps were as told; Portico's log is {}", TOUR.len(), operator::LOG),
    );
    if !once && !shell::interrupted() {
        stay(&mut world)?;
    }
    if shell::interrupted() {
        println!("\nEnding everything.");
    }
    verdict
}

/// Goes through the steps. Nothing can be told of the later ones where the first one fails.
fn tour(world: &mut World) -> Vec<(bool, Duration)> {
    let mut results: Vec<(bool, Duration)> = Vec::new();
    for (position, step) in TOUR.iter().enumerate() {
        if shell::interrupted() || results.first().is_some_and(|(passed, _)| !passed) {
            break;
        }
        results.push(take(position, step, world));
    }
    results
}

fn take(position: usize, step: &Step, world: &mut World) -> (bool, Duration) {
    shell::headline(&format!("{}/{} {}", position + 1, TOUR.len(), step.headline));
    let started = Instant::now();
    let outcome = (step.run)(world);
    shell::verdict(step.expected, &outcome);
    if outcome.is_err() {
        shell::note("the end of Portico's log:");
        shell::output(&operator::log_tail());
    }
    (outcome.is_ok(), started.elapsed())
}

fn summary(results: &[(bool, Duration)]) {
    shell::headline("The tour");
    for (position, step) in TOUR.iter().enumerate() {
        let (sign, duration) = match results.get(position) {
            Some((true, duration)) => ("✓", format!("{:.1} s", duration.as_secs_f64())),
            Some((false, duration)) => ("✗", format!("{:.1} s", duration.as_secs_f64())),
            None => ("-", "not taken".to_owned()),
        };
        println!("  {sign} {duration:>9}  {}", step.headline);
    }
}

/// Puts the examples back, tells how to try things, and waits for Ctrl-C.
fn stay(world: &mut World) -> Outcome {
    shell::headline("Now it is yours");
    if let Err(reason) = steps::apply_examples(world) {
        shell::note(&format!("the examples are not Ready again: {reason}"));
    }
    println!(
        "
Everything stays up until you press Ctrl-C. In another terminal, in this folder:

  . {env}
  kubectl get portico -A
  kubectl -n {NAMESPACE} describe portal developers
  kubectl explain portal.spec --recursive
  kubectl -n {NAMESPACE} edit portal developers
  kubectl -n {NAMESPACE} annotate oauthclient shop portico.dev/rotate=1
  curl -s $PORTICO_SANDBOX_URL/_sandbox/state
  tail -f {log}",
        env = world::ENV,
        log = operator::LOG,
    );
    loop {
        let running = world.operator.check_running();
        // A terminal's Ctrl-C reaches Portico too, and it may end before this process has noticed.
        thread::sleep(shell::SELDOM);
        if shell::interrupted() {
            return Ok(());
        }
        running?;
    }
}
