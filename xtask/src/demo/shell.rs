//! What the demo prints, and how it waits.

use std::{
    env,
    io::{self, IsTerminal},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::Outcome;

/// How long anything in the tour may take before it counts as not as told.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The pause between two looks at what can only be seen by starting a program or sending a request.
pub(crate) const SELDOM: Duration = Duration::from_millis(200);

/// The pause between two looks at what this process knows, where the moment matters.
pub(crate) const CLOSELY: Duration = Duration::from_millis(5);

const LINES: usize = 24;
const WIDTH: usize = 160;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets everything that waits give up, so that the demo can end in order.
pub(crate) fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether somebody wants the demo to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Asks again until there is an answer. An error of `probe` is the reason why it is not so yet.
pub(crate) fn poll<T>(pause: Duration, mut probe: impl FnMut() -> Outcome<T>) -> Outcome<T> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return Ok(answer),
            Err(_) if interrupted() => return Err("interrupted".into()),
            Err(reason) if started.elapsed() >= DEADLINE => {
                return Err(format!("after {} s still: {reason}", DEADLINE.as_secs()).into());
            }
            Err(_) => thread::sleep(pause),
        }
    }
}

/// Lets time go by, but not that of somebody who wants the demo to end.
pub(crate) fn pause(time: Duration) {
    let started = Instant::now();
    while started.elapsed() < time && !interrupted() {
        thread::sleep(SELDOM);
    }
}

/// Fails with `otherwise` where a claim of the tour does not hold.
pub(crate) fn expect(holds: bool, otherwise: impl Into<String>) -> Outcome {
    if holds {
        return Ok(());
    }
    let reason: String = otherwise.into();
    Err(reason.into())
}

/// The title of a step.
pub(crate) fn headline(text: &str) {
    println!("\n{}", bold(text));
}

/// What happens besides the commands.
pub(crate) fn note(text: &str) {
    println!("  # {text}");
}

/// A command as a person would type it.
pub(crate) fn command(line: &str) {
    println!("  $ {line}");
}

/// The words of a command, quoted for a shell.
pub(crate) fn line(program: &str, arguments: &[&str]) -> String {
    let words = arguments.iter().map(|word| quote(word));
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// What a command answered, cut to what fits a screen.
pub(crate) fn output(text: &str) {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    for line in lines.iter().take(LINES) {
        if line.chars().count() > WIDTH {
            println!("    {}…", line.chars().take(WIDTH).collect::<String>());
        } else {
            println!("    {line}");
        }
    }
    if lines.len() > LINES {
        println!("    … {} more lines", lines.len() - LINES);
    }
}

/// The end of a step: what was expected, and the reason where it is not so.
pub(crate) fn verdict(expected: &str, outcome: &Outcome) {
    match outcome {
        Ok(()) => println!("  {} {expected}", bold("✓")),
        Err(reason) => {
            println!("  {} expected: {expected}", bold("✗"));
            output(&format!("but: {reason}"));
        }
    }
}

/// A word as a POSIX shell takes it literally.
pub(crate) fn quote(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn bold(text: &str) -> String {
    if io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{line, quote};

    #[test]
    fn words_are_quoted_only_where_a_shell_needs_it() {
        assert_eq!(quote("portal/developers"), "portal/developers");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(line("kubectl", &["patch", "-p", r#"{"a":1}"#]), r#"kubectl patch -p '{"a":1}'"#);
    }
}
