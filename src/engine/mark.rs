//! The mark: two labels that say whose an object is.
use data_encoding::BASE32_NOPAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::key::Key;

/// The label that names the installation.
pub const OWNER: &str = "portico-owner";
/// The label that names the resource.
pub const REF: &str = "portico-ref";

/// What an object's labels say to one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// No mark: a stranger's.
    None,
    /// This resource's: this UID, or a resource of the same name before it.
    Ours,
    /// Another resource's of this installation, with its UID.
    Sibling(String),
    /// Another installation's.
    Foreign(String),
}

/// The first 16 hex digits of SHA-256 over kind/namespace/name.
fn digits(key: &Key) -> String {
    hex(&Sha256::digest(format!("{}/{}/{}", key.kind, key.namespace, key.name)))[..16].to_owned()
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The mark that a resource leaves: 16 digits, a dot and the UID, 53 characters of the 63 that a label may have.
#[must_use]
pub fn labels(owner: &str, key: &Key, uid: &str) -> Map<String, Value> {
    let reference = format!("{}.{uid}", digits(key));
    Map::from_iter([(OWNER.to_owned(), owner.into()), (REF.to_owned(), reference.into())])
}

/// The id of an object whose id the client chooses: 26 base32 characters from the installation, the kind, the namespace and the name. A
/// resource that is made again finds its object by it.
#[must_use]
pub fn derived_id(owner: &str, key: &Key) -> String {
    let digest = Sha256::digest(format!("{owner}/{}/{}/{}", key.kind, key.namespace, key.name));
    BASE32_NOPAD.encode(&digest)[..26].to_ascii_lowercase()
}

/// Reads the labels of an object.
#[must_use]
pub fn read(object: &Value, owner: &str, key: &Key) -> Mark {
    let label = |name: &str| object["labels"][name].as_str();
    match (label(OWNER), label(REF)) {
        (None, _) => Mark::None,
        (Some(other), _) if other != owner => Mark::Foreign(other.to_owned()),
        // The owner without the reference: someone tore the mark; it still is this installation's.
        (Some(_), None) => Mark::Sibling(String::new()),
        (Some(_), Some(reference)) => match reference.split_once('.') {
            Some((hash, _)) if hash == digits(key) => Mark::Ours,
            Some((_, uid)) => Mark::Sibling(uid.to_owned()),
            None => Mark::Sibling(String::new()),
        },
    }
}

/// The UID of the resource that an object of this installation carries the mark of.
#[must_use]
pub fn uid<'v>(object: &'v Value, owner: &str) -> Option<&'v str> {
    let labels = &object["labels"];
    let reference = labels[REF].as_str().filter(|_| labels[OWNER] == owner)?;
    reference.split_once('.').map(|(_, uid)| uid)
}

/// Whether a text can be the value of a label at Konnect (contracts: `labels.value`).
#[must_use]
pub fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || matches!(c, '-' | '.' | '_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_derived_id_is_the_same_for_the_next_resource_of_the_name_and_no_other() {
        let id = |owner: &str, name: &str| derived_id(owner, &Key::new("OAuthClient", "team-a", name));
        assert_eq!(id("installation", "shop"), id("installation", "shop"));
        assert_ne!(id("installation", "shop"), id("installation", "blog"));
        assert_ne!(id("installation", "shop"), id("other", "shop"));
        assert_eq!(id("installation", "shop").len(), 26);
        assert!(id("installation", "shop").bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')));
    }

    #[test]
    fn a_mark_fits_a_label_and_is_known_again_by_the_next_resource_of_the_name() {
        let key = Key::new("Portal", "team-a", "docs");
        let mark = labels("installation", &key, "0b6ef1a5-1111-4222-8333-444455556666");
        let reference = mark[REF].as_str().unwrap();
        assert_eq!(reference.len(), 53);
        assert!(is_label(reference));
        let object = json!({"labels": mark});
        assert_eq!(read(&object, "installation", &key), Mark::Ours);
        assert_eq!(read(&object, "other", &key), Mark::Foreign("installation".into()));
        let sibling = Key::new("Portal", "team-a", "other");
        assert_eq!(
            read(&object, "installation", &sibling),
            Mark::Sibling("0b6ef1a5-1111-4222-8333-444455556666".into())
        );
        assert_eq!(read(&json!({}), "installation", &key), Mark::None);
    }
}
