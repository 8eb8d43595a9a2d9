//! For tests of the real program, and in debug builds alone: a process that stops itself between the check whether a write may be sent and
//! the write, as a machine that is paused there would.
use std::{
    env,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

/// Names the operation as metrics do, such as `POST /v2/portals`.
const VARIABLE: &str = "PORTICO_TEST_STOP_BEFORE";

/// Stops the whole process, once, if this operation was named. It goes on at this very place when somebody sends SIGCONT.
pub(super) fn before(operation: &str) {
    static STOPPED: AtomicBool = AtomicBool::new(false);
    let is_named = env::var(VARIABLE).is_ok_and(|named| named == operation);
    if !is_named || STOPPED.swap(true, Ordering::SeqCst) {
        return;
    }
    tracing::warn!(operation, "stopping before a write, as a test asked");
    // Blocks this thread until then: nothing comes between the check and the write but the stop.
    let stopped = Command::new("sh")
        .args(["-c", "kill -STOP \"$0\"", &process::id().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !stopped.is_ok_and(|status| status.success()) {
        tracing::error!("this process could not stop itself");
    }
}
