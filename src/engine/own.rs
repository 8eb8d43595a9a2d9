//! What Portico keeps for itself: where its randomness comes from, and the key of the digests that stand for values nobody may see.
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use data_encoding::BASE64URL_NOPAD;
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};

use super::{core::Engine, kubernetes::KubeError, mark::hex, secrets::Stored};

/// The Secret in Portico's own namespace that holds the key of the digests.
pub const DIGEST_KEY: &str = "portico-digest-key";
/// The key in it.
const KEY: &str = "key";
const KEY_BYTES: usize = 32;
/// As many hex digits of a digest are written down.
const DIGITS: usize = 32;

/// Where the randomness of secrets comes from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's randomness.
pub struct SystemEntropy(SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("no operating system that runs this is without randomness");
    }
}

/// Randomness that repeats itself: for simulations and tests alone.
pub struct SeededEntropy(Mutex<fastrand::Rng>);

impl SeededEntropy {
    /// The same seed gives the same bytes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}

/// A secret of so many random bytes, as base64url: 43 characters for 32 bytes.
#[must_use]
pub fn secret_text(entropy: &dyn Entropy, bytes: usize) -> SecretString {
    let mut random = vec![0_u8; bytes];
    entropy.fill(&mut random);
    SecretString::from(BASE64URL_NOPAD.encode(&random))
}

impl Engine {
    /// A digest of a value that nobody may see. Who has only the digest cannot try values: it is keyed.
    ///
    /// # Errors
    /// [`KubeError`] where the key can neither be read nor made.
    pub async fn digest(&self, text: &SecretString) -> Result<String, KubeError> {
        let key = self.digest_key.get_or_try_init(|| self.read_or_make_digest_key()).await?;
        let tag = hmac::sign(key, text.expose_secret().as_bytes());
        Ok(hex(tag.as_ref())[..DIGITS].to_owned())
    }

    async fn read_or_make_digest_key(&self) -> Result<hmac::Key, KubeError> {
        let namespace = &self.settings.namespace;
        // Another replica may make it at the same moment: then it is read.
        for _ in 0..3 {
            let found = self.kube.read_secret(namespace, DIGEST_KEY).await?;
            let key = found.as_ref().and_then(|secret| secret.data.get(KEY)).filter(|key| key.len() == KEY_BYTES);
            if let Some(key) = key {
                return Ok(hmac::Key::new(hmac::HMAC_SHA256, key));
            }
            let mut key = vec![0_u8; KEY_BYTES];
            self.entropy.fill(&mut key);
            let data = BTreeMap::from([(KEY.to_owned(), key)]);
            let made = match found {
                None => {
                    tracing::info!(secret = DIGEST_KEY, "making the key of the digests");
                    self.kube.create_secret(namespace, DIGEST_KEY, &Stored { data, ..Stored::default() }).await
                }
                Some(damaged) => {
                    tracing::warn!(secret = DIGEST_KEY, "the key of the digests is damaged; making another one");
                    self.kube.replace_secret(namespace, DIGEST_KEY, &Stored { data, ..damaged }).await
                }
            };
            match made {
                Ok(_) | Err(KubeError::Conflict) => {}
                // For its callers that would mean that the resource is gone.
                Err(KubeError::Gone) => {
                    let why = format!("Secret {DIGEST_KEY} cannot be made: is there a namespace {namespace}?");
                    return Err(KubeError::Other(why));
                }
                Err(error) => return Err(error),
            }
        }
        Err(KubeError::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_secret_has_43_characters_that_need_no_quoting_and_never_comes_twice() {
        let entropy = SystemEntropy::default();
        let [one, other] = [secret_text(&entropy, 32), secret_text(&entropy, 32)];
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_eq!(one.expose_secret().len(), 43);
        assert!(one.expose_secret().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn seeded_randomness_repeats_itself() {
        let text = |seed| secret_text(&SeededEntropy::new(seed), 32).expose_secret().to_owned();
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }
}
