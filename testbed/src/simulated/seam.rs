//! Where time and chance come from.
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

/// What time it is, for what is written down. Waits run on tokio's clock.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The only two things that a simulated API server takes from outside: with the same seam and the same requests, in the same order, every
/// answer is the same.
#[derive(Clone)]
pub struct Seam {
    /// What time it is.
    pub now: Now,
    /// What UIDs, generated names and the moods of the controllers are drawn from.
    pub seed: u64,
}

impl Seam {
    /// A seam whose time starts at `start` and runs with tokio's clock: virtual where that is paused.
    #[must_use]
    pub fn on_tokio_time(start: Timestamp, seed: u64) -> Self {
        let begun = tokio::time::Instant::now();
        Self { now: Arc::new(move || start + begun.elapsed()), seed }
    }
}

/// A UID as the API server makes them: a random UUID (RFC 9562, version 4).
pub(super) fn uid(random: &mut fastrand::Rng) -> String {
    const VERSION: u32 = 76;
    const VARIANT: u32 = 62;
    let drawn = random.u128(..) & !(0xf << VERSION) & !(0b11 << VARIANT);
    let hex = format!("{:032x}", drawn | (4 << VERSION) | (0b10 << VARIANT));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The letters of generated names (`k8s.io/apimachinery/pkg/util/rand`): no vowels, so that no words come out.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longer prefixes are cut (`k8s.io/apiserver/pkg/storage/names`).
const LONGEST_PREFIX: usize = 58;

/// A name that begins with `prefix`.
pub(super) fn generated_name(random: &mut fastrand::Rng, prefix: &str) -> String {
    let mut name: String = prefix.chars().take(LONGEST_PREFIX).collect();
    name.extend((0..5).map(|_| char::from(LETTERS[random.usize(..LETTERS.len())])));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_and_names_follow_from_the_seed_alone() {
        let (mut first, mut second) = (fastrand::Rng::with_seed(7), fastrand::Rng::with_seed(7));
        let drawn = uid(&mut first);
        assert_eq!(drawn, uid(&mut second));
        assert_ne!(drawn, uid(&mut first));
        assert_eq!(drawn.len(), 36);
        assert_eq!(&drawn[14..15], "4");
        let name = generated_name(&mut first, "a-");
        assert!(name.starts_with("a-") && name.len() == 7, "{name}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_tokios() {
        let seam = Seam::on_tokio_time(Timestamp::UNIX_EPOCH, 1);
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        assert_eq!((seam.now)().as_second(), 90);
    }
}
