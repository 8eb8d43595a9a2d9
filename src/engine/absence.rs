//! When many objects vanish at once it is rarely because someone deleted them. Pure.
use sha2::{Digest, Sha256};

use super::mark::hex;
use crate::remote::{Path, Place};

/// Whether creates are held: all of a connection's objects are gone (2 or more), or more than 3 and more than a fifth.
#[must_use]
pub fn is_mass(missing: usize, recorded: usize) -> bool {
    missing >= 2 && (missing == recorded || missing > 3.max(recorded / 5))
}

/// The recorded paths that are missing: those known to be, and all that lie below one of them.
#[must_use]
pub fn spread<'a>(recorded: &'a [Place], missing: &[Path]) -> Vec<&'a Place> {
    recorded.iter().filter(|place| missing.iter().any(|gone| place.path == *gone || place.is_below(gone))).collect()
}

/// What a person confirms: exactly these paths.
#[must_use]
pub fn token(missing: &[&Path]) -> String {
    let mut paths: Vec<&str> = missing.iter().map(|p| p.as_str()).collect();
    paths.sort_unstable();
    hex(&Sha256::digest(paths.join("\n")))[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_no_mass_and_all_of_two_are() {
        assert!(!is_mass(1, 1));
        assert!(is_mass(2, 2));
        assert!(!is_mass(2, 3));
        assert!(!is_mass(3, 10));
        assert!(is_mass(4, 10));
        assert!(!is_mass(4, 100));
        assert!(!is_mass(20, 100));
        assert!(is_mass(21, 100));
    }

    #[test]
    fn what_lies_below_a_missing_object_is_missing_too() {
        let path = |text: &str| Path::parse(text).unwrap();
        let recorded = ["/v2/portals/a", "/v2/portals/a/teams/t", "/v2/portals/b"];
        let recorded: Vec<Place> = recorded.into_iter().map(|text| Place::in_collection(path(text))).collect();
        assert_eq!(spread(&recorded, &[path("/v2/portals/a")]).len(), 2);
        let client = Place::listed(path("/clients/c"), path("/servers/s/clients"));
        assert_eq!(spread(&[client], &[path("/servers/s")]).len(), 1);
    }
}
