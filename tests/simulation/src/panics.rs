//! Panics within a world: the engine catches those of its passes, and they are bugs all the same (law 11).
use std::{
    cell::RefCell,
    panic::{self, PanicHookInfo},
    sync::Once,
};

thread_local! {
    /// Where and why something has panicked in the world that runs on this thread; none where no world runs.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on panics on this thread are noted and not printed, until [`take`].
pub(crate) fn note() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !keep(info) {
                usual(info);
            }
        }));
    });
    PANICS.with_borrow_mut(|panics| *panics = Some(Vec::new()));
}

/// What has panicked since [`note`], with its place in the source.
pub(crate) fn take() -> Vec<String> {
    PANICS.take().unwrap_or_default()
}

fn keep(info: &PanicHookInfo<'_>) -> bool {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("a panic without words");
    PANICS.with_borrow_mut(|panics| match panics {
        Some(panics) => {
            panics.push(format!("{place}: {text}"));
            true
        }
        None => false,
    })
}
