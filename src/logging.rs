//! What may be logged. Bodies and headers of the libraries that speak HTTP hold secrets, so these stay quiet whatever anybody asks for.
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::{FilterExt, filter_fn},
    layer::Filter,
};

/// The most that these crates log. kube's client warns with the whole answer in it where that does not parse.
const CAPPED: [(&str, Level); 7] = [
    ("hyper", Level::WARN),
    ("hyper_util", Level::WARN),
    ("reqwest", Level::WARN),
    ("rustls", Level::WARN),
    ("h2", Level::WARN),
    ("tower", Level::WARN),
    ("kube_client", Level::ERROR),
];

/// Whether a line may be logged at all.
fn is_allowed(metadata: &Metadata<'_>) -> bool {
    is_target_allowed(metadata.target(), *metadata.level())
}

fn is_target_allowed(target: &str, level: Level) -> bool {
    let is_of = |name: &str| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    CAPPED.iter().all(|(name, most)| !is_of(name) || level <= *most)
}

/// What is wanted, in the words of `RUST_LOG`, as far as it is allowed.
pub fn filter<S: 'static>(wanted: &str) -> impl Filter<S> + use<S> {
    EnvFilter::new(wanted).and(filter_fn(is_allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_ask_for_what_holds_secrets() {
        for target in ["hyper::proto", "kube_client::client", "reqwest", "tower::buffer::worker"] {
            assert!(!is_target_allowed(target, Level::TRACE), "{target}");
            assert!(is_target_allowed(target, Level::ERROR), "{target}");
        }
        assert!(!is_target_allowed("kube_client::client", Level::WARN));
        assert!(is_target_allowed("portico::engine", Level::TRACE));
        assert!(is_target_allowed("towering", Level::TRACE));
    }
}
