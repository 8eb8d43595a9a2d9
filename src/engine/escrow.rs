//! The last verified credential of a connection, kept in Portico's own namespace: with it deletions end where the credential was deleted
//! together with what it served for, while nobody ran. It serves deletions alone, is there before the first create, and goes with the last
//! user.
use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::{sync::OwnedRwLockWriteGuard, time::Instant};
use url::Url;

use super::{
    connect::ConnectionPass,
    connect_build::fingerprint,
    core::Engine,
    key::{Key, Target},
    kubernetes::KubeError,
    links::Known,
    mark::hex,
    reason::Reason,
    secrets::Stored,
    spec::{ConnectionCommon, annotations},
    stop::Stop,
};
use crate::remote::{ClientAuth, Credential};

/// What stands in an escrow Secret.
pub(super) type Data = BTreeMap<String, Vec<u8>>;

/// What this process knows of a connection's escrow Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// It has not looked yet.
    #[default]
    Unknown,
    /// There is none.
    Nothing,
    /// It holds what has this digest.
    These(String),
    /// It could not be read or written; the connection's next pass tries again.
    Failed,
}

/// What a link is built from, besides the spec of its connection. Has no `Debug`.
pub(super) struct Material {
    /// The credential.
    pub(super) credential: Credential,
    /// Which version of which Secrets it was read from.
    pub(super) version: String,
    /// The CA bundle.
    pub(super) ca: Option<Vec<u8>>,
}

impl Material {
    /// As it stands in an escrow Secret.
    pub(super) fn to_data(&self) -> Data {
        let mut data = Data::from([("version".to_owned(), self.version.clone().into_bytes())]);
        let mut put = |key: &str, value: &[u8]| data.insert(key.to_owned(), value.to_vec());
        match &self.credential {
            Credential::Token(token) => {
                put("token", token.expose_secret().as_bytes());
            }
            Credential::Client { id, secret, url, auth } => {
                put("client_id", id.as_bytes());
                put("client_secret", secret.expose_secret().as_bytes());
                put("token_url", url.as_str().as_bytes());
                put("auth_method", auth_method(*auth).as_bytes());
            }
        }
        if let Some(ca) = &self.ca {
            put("ca.crt", ca);
        }
        data
    }

    /// From an escrow Secret; none where something is missing.
    fn from_data(data: &Data) -> Option<Self> {
        let text = |key: &str| String::from_utf8(data.get(key)?.clone()).ok();
        let credential = match text("token") {
            Some(token) => Credential::Token(token.into()),
            None => Credential::Client {
                id: text("client_id")?,
                secret: SecretString::from(text("client_secret")?),
                url: Url::parse(&text("token_url")?).ok()?,
                auth: if text("auth_method")? == auth_method(ClientAuth::Post) {
                    ClientAuth::Post
                } else {
                    ClientAuth::Basic
                },
            },
        };
        Some(Self { credential, version: text("version")?, ca: data.get("ca.crt").cloned() })
    }
}

fn auth_method(auth: ClientAuth) -> &'static str {
    match auth {
        ClientAuth::Basic => "Basic",
        ClientAuth::Post => "Post",
    }
}

/// The name of a connection's escrow Secret.
#[must_use]
pub fn name(key: &Key, uid: &str) -> String {
    let of = format!("{}/{}/{}/{uid}", key.kind, key.namespace, key.name);
    format!("portico-escrow-{}", &hex(&Sha256::digest(of))[..16])
}

fn digest(data: &Data) -> String {
    let mut hash = Sha256::new();
    for (key, value) in data {
        for part in [key.as_bytes(), value.as_slice()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize())
}

impl Engine {
    /// Writes what is kept for a connection, where it is not that already. For those alone who have its turn.
    pub(super) async fn write_escrow(&self, key: &Key, uid: &str, data: &Data) -> Result<(), KubeError> {
        let kept = Kept::These(digest(data));
        if self.kept(uid) == kept {
            return Ok(());
        }
        let result = self.store_escrow(key, uid, data).await;
        self.note_kept(uid, if result.is_ok() { kept } else { Kept::Failed });
        result
    }

    async fn store_escrow(&self, key: &Key, uid: &str, data: &Data) -> Result<(), KubeError> {
        let (namespace, name) = (self.settings.namespace.as_str(), name(key, uid));
        let mut stored = self.kube.read_secret(namespace, &name).await?.unwrap_or_default();
        if stored.data == *data && is_of(&stored, uid) {
            return Ok(());
        }
        stored.data.clone_from(data);
        let owner = [(annotations::OWNER_UID, uid.to_owned()), (annotations::OWNER, key.to_string())];
        stored.annotations.extend(owner.map(|(annotation, value)| (annotation.to_owned(), value)));
        if stored.uid.is_empty() {
            self.make_secret(uid, namespace, &name, &stored).await?;
        } else {
            self.kube.replace_secret(namespace, &name, &stored).await?;
        }
        Ok(())
    }

    /// Whether exactly this is kept for the connection of this UID.
    pub(super) fn keeps(&self, uid: &str, data: &Data) -> bool {
        self.kept(uid) == Kept::These(digest(data))
    }

    /// What this process knows of what is kept for the connection of this UID.
    pub(super) fn kept(&self, uid: &str) -> Kept {
        self.remember(uid, |memory| memory.escrow.clone())
    }

    fn note_kept(&self, uid: &str, kept: Kept) {
        self.remember(uid, |memory| memory.escrow = kept);
    }
}

/// Whether it is kept for the connection of this UID.
fn is_of(stored: &Stored, uid: &str) -> bool {
    stored.annotations.get(annotations::OWNER_UID).is_some_and(|owner| owner == uid)
}

impl ConnectionPass<'_> {
    /// Keeps the credential that works while there is something to delete with it, and forgets it afterwards. A failure is no reason for
    /// the connection to fail.
    pub(super) async fn keep_escrow(&mut self) {
        let _turn = self.turn().await;
        let is_used = self.engine.settings.escrow && self.is_used();
        let is_sought = self.engine.settings.escrow && !is_used && self.seekers().next().is_some();
        let result = if is_sought {
            self.learn_escrow().await
        } else if !is_used {
            self.erase_escrow().await
        } else if let Some(data) = self.to_keep() {
            let written = self.engine.write_escrow(self.key, self.object.uid(), &data).await;
            written.inspect_err(|error| self.withhold_credential(error))
        } else {
            return;
        };
        if let Err(error) = result {
            self.note_kept(Kept::Failed);
            tracing::warn!(connection = %self.key, %error, "what deletions need when the credential is gone is not kept as it should be");
        }
    }

    /// What was in use before a connection was paused goes on through it, and its deletion may need what works now.
    pub(super) async fn keep_while_paused(&mut self) {
        let is_kept = !self.engine.settings.escrow || matches!(self.kept(), Kept::These(_));
        if is_kept || !self.is_verified() || !self.is_used() {
            return;
        }
        let Ok(common) = self.object.spec::<ConnectionCommon>() else { return };
        let Ok(material) = self.material(&common).await else { return };
        let present = fingerprint(&material.credential.identity(), material.ca.as_deref());
        // Another one than what is in use has never been tried.
        let is_in_use = |known: Known| known.uid == self.object.uid() && known.fingerprint == present;
        if self.engine.links.get(self.key).is_some_and(is_in_use) {
            self.escrow = Some(material.to_data());
            self.keep_escrow().await;
        }
    }

    /// Waits until nobody writes what is kept, nor begins to use this connection, and keeps it that way.
    pub(super) async fn turn(&self) -> OwnedRwLockWriteGuard<()> {
        let turn = self.engine.remember(self.object.uid(), |memory| memory.escrow_turn.clone());
        turn.write_owned().await
    }

    /// Erases what is kept. For those alone who have the [`turn`](Self::turn), and have seen since that there are no users.
    pub(super) async fn erase_escrow(&self) -> Result<(), KubeError> {
        let (now, late) = (Instant::now(), self.engine.late_secret(self.object.uid()));
        if self.kept() == Kept::Nothing && late.is_none() {
            return Ok(());
        }
        let (namespace, name) = self.escrow_secret();
        if let Some(stored) = self.read_escrow().await? {
            let version = &stored.resource_version;
            self.engine.kube.delete_secret(namespace, &name, &stored.uid, version).await?;
        }
        // Until then what was sent without an answer may turn up after this look.
        if late.is_some_and(|until| until <= now) {
            self.engine.remember(self.object.uid(), |memory| memory.late_secret = None);
        }
        self.note_kept(Kept::Nothing);
        Ok(())
    }

    /// Builds the link from what is kept, where this process knows none that was seen to work. From then on only deletions go through it.
    /// Says whether there is another link now.
    pub(super) async fn build_from_escrow(&self, common: &ConnectionCommon) -> bool {
        let known = self.engine.links.get(self.key).filter(|known| known.uid == self.object.uid());
        if !self.engine.settings.escrow || known.as_ref().is_some_and(|known| known.verified) {
            return false;
        }
        let (namespace, name) = self.escrow_secret();
        let stored = match self.engine.kube.read_secret(namespace, &name).await {
            Ok(Some(stored)) => stored,
            Ok(None) => {
                self.note_absence();
                return false;
            }
            Err(error) => {
                tracing::warn!(connection = %self.key, %error, "what is kept for deletions cannot be read");
                return false;
            }
        };
        let material = Some(stored).filter(|stored| is_of(stored, self.object.uid()));
        let Some(material) = material.and_then(|stored| Material::from_data(&stored.data)) else { return false };
        if self.base().and_then(|base| self.install(common, base, material)).is_err() {
            return false;
        }
        self.engine.links.change(self.key, |known| known.deleting = true);
        let before = known.map(|known| known.fingerprint);
        let is_another = self.engine.links.get(self.key).map(|known| known.fingerprint) != before;
        if is_another {
            tracing::info!(connection = %self.key, "its credential is gone; deletions go on with the last one that worked");
        }
        is_another
    }

    /// Finds out what is kept, and leaves it as it is: somebody may have made something through this connection, and nobody knows.
    async fn learn_escrow(&self) -> Result<(), KubeError> {
        if matches!(self.kept(), Kept::Unknown | Kept::Failed) {
            match self.read_escrow().await? {
                Some(stored) => self.note_kept(Kept::These(digest(&stored.data))),
                None => self.note_absence(),
            }
        }
        Ok(())
    }

    /// What works: as it was read in this pass, or, where it could not be kept and its Secret is gone by now, as it is still in memory.
    fn to_keep(&self) -> Option<Data> {
        if self.is_verified() && self.escrow.is_some() {
            return self.escrow.clone();
        }
        let known = self.engine.links.get(self.key).filter(|known| known.uid == self.object.uid() && known.verified)?;
        let is_in_doubt = known.trouble.as_ref().is_some_and(|wait| wait.reason != Reason::SecretNotFound);
        (self.kept() == Kept::Failed && !is_in_doubt).then(|| known.material.to_data())
    }

    /// There is none, so nothing was ever made through this connection: those who could not ask about that go on.
    fn note_absence(&self) {
        if matches!(self.kept(), Kept::Unknown | Kept::Failed) {
            self.note_kept(Kept::Nothing);
            self.engine.wake_dependents(&Target::Resource(self.key.clone()));
        }
    }

    /// What is kept for exactly this connection.
    async fn read_escrow(&self) -> Result<Option<Stored>, KubeError> {
        let (namespace, name) = self.escrow_secret();
        let stored = self.engine.kube.read_secret(namespace, &name).await?;
        Ok(stored.filter(|stored| is_of(stored, self.object.uid())))
    }

    /// Whether this credential is the one that is kept: whatever is recorded since was made or taken over with that one.
    ///
    /// # Errors
    /// [`Stop::Kube`].
    pub(super) async fn is_kept(&self, known: &Known) -> Result<bool, Stop> {
        if !self.engine.settings.escrow {
            return Ok(false);
        }
        let material = self.read_escrow().await?.and_then(|stored| Material::from_data(&stored.data));
        let is_it = |kept: Material| fingerprint(&kept.credential.identity(), kept.ca.as_deref()) == known.fingerprint;
        Ok(material.is_some_and(is_it))
    }

    /// Its namespace and name.
    fn escrow_secret(&self) -> (&str, String) {
        (self.engine.settings.namespace.as_str(), name(self.key, self.object.uid()))
    }

    fn kept(&self) -> Kept {
        self.engine.kept(self.object.uid())
    }

    fn note_kept(&self, kept: Kept) {
        self.engine.note_kept(self.object.uid(), kept);
    }

    fn is_verified(&self) -> bool {
        self.engine.links.get(self.key).is_some_and(|known| known.verified && known.trouble.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(material: &Material) -> Material {
        Material::from_data(&material.to_data()).expect("it is complete")
    }

    #[test]
    fn what_is_kept_is_what_worked() {
        let token = Credential::Token("kpat_x".to_owned().into());
        let client = Credential::Client {
            id: "portico".to_owned(),
            secret: "s".to_owned().into(),
            url: Url::parse("https://acp.example.com/t/admin/oauth2/token").unwrap(),
            auth: ClientAuth::Post,
        };
        for credential in [token, client] {
            let kept = Material { credential, version: "konnect/token@1".to_owned(), ca: Some(vec![1, 2]) };
            let found = again(&kept);
            assert_eq!(found.credential.identity().expose_secret(), kept.credential.identity().expose_secret());
            assert_eq!((found.version, found.ca), (kept.version, kept.ca));
        }
    }

    #[test]
    fn what_is_not_whole_is_not_used() {
        let token = Credential::Token("kpat_x".to_owned().into());
        let whole = Material { credential: token, version: String::new(), ca: None }.to_data();
        for key in whole.keys() {
            let mut part = whole.clone();
            part.remove(key);
            assert!(Material::from_data(&part).is_none(), "without {key}");
        }
    }

    #[test]
    fn every_connection_has_an_escrow_of_its_own() {
        let key = |name: &str| Key::new("KonnectConnection", "team-a", name);
        assert_eq!(name(&key("acme"), "u1").len(), "portico-escrow-".len() + 16);
        assert_ne!(name(&key("acme"), "u1"), name(&key("acme"), "u2"));
        assert_ne!(name(&key("acme"), "u1"), name(&key("other"), "u1"));
    }

    #[test]
    fn every_change_of_what_is_kept_is_seen() {
        let data = |key: &str, value: &str| Data::from([(key.to_owned(), value.as_bytes().to_vec())]);
        assert_eq!(digest(&data("token", "a")), digest(&data("token", "a")));
        assert_ne!(digest(&data("token", "a")), digest(&data("token", "b")));
        assert_ne!(digest(&data("token", "a")), digest(&data("tokena", "")));
    }
}
