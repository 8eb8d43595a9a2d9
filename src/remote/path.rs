//! Paths at a remote API, built from checked segments.
//!
//! `clients/../../servers/x` and `%2e%2e` both resolve to `/servers/x`, and an empty id turns `DELETE /portals/{id}` into a request on the
//! whole collection. So nothing becomes part of a path that is not a [`Segment`].
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986 unreserved characters stay as they are.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a text cannot be part of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The text is `.` or `..`, as it is or percent-encoded.
    #[error("{0:?} is not an id: it would change the path of the request")]
    Dots(String),
    /// The text holds a slash, a backslash, a percent sign or a control character.
    #[error("{0:?} is not an id: it holds a character that no id has")]
    Character(String),
    /// The text does not begin with a slash.
    #[error("{0:?} is not a path: it does not begin with a slash")]
    Relative(String),
}

/// One part of a path: non-empty, not `.` or `..`, percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment(String);

impl Segment {
    /// Checks and encodes an id.
    ///
    /// # Errors
    /// [`PathError`] for an empty text, for dots, and for characters that could end the segment.
    pub fn new(raw: &str) -> Result<Self, PathError> {
        if raw.is_empty() {
            return Err(PathError::Empty);
        }
        if matches!(raw, "." | "..") {
            return Err(PathError::Dots(raw.to_owned()));
        }
        if raw.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | '%' | '?' | '#')) {
            return Err(PathError::Character(raw.to_owned()));
        }
        Ok(Self(utf8_percent_encode(raw, RESERVED).to_string()))
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An absolute path of which every part is a checked [`Segment`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// A path that stands in the source code, such as `/v2/portals`.
    #[must_use]
    pub fn literal(path: &'static str) -> Self {
        debug_assert!(Self::parse(path).is_ok(), "{path} is no path");
        Self(path.to_owned())
    }

    /// Checks a path that was stored, such as `status.remote.path`.
    ///
    /// # Errors
    /// [`PathError`] where a part is no segment.
    pub fn parse(stored: &str) -> Result<Self, PathError> {
        let Some(rest) = stored.strip_prefix('/') else { return Err(PathError::Relative(stored.to_owned())) };
        for part in rest.split('/') {
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
            Segment::new(&decoded)?;
        }
        Ok(Self(stored.to_owned()))
    }

    /// This path followed by an id.
    #[must_use]
    pub fn child(&self, id: &Segment) -> Self {
        Self(format!("{}/{id}", self.0))
    }

    /// This path followed by a word of the API, such as `teams`.
    #[must_use]
    pub fn then(&self, word: &'static str) -> Self {
        Self(format!("{}/{word}", self.0))
    }

    /// The collection that holds this object: everything before the last segment.
    #[must_use]
    pub fn collection(&self) -> Option<Self> {
        let (before, _) = self.0.rsplit_once('/')?;
        (!before.is_empty()).then(|| Self(before.to_owned()))
    }

    /// The object that this collection lies below: `/v2/portals/P` for `/v2/portals/P/teams`, none for `/v2/portals`.
    #[must_use]
    pub fn above(&self) -> Option<Self> {
        let above = self.collection()?;
        // Above `/v2/portals` there is only the version.
        (above.0.matches('/').count() > 1).then_some(above)
    }

    /// The last segment, decoded: the id of an object.
    #[must_use]
    pub fn last(&self) -> Option<String> {
        let (_, last) = self.0.rsplit_once('/')?;
        percent_encoding::percent_decode_str(last).decode_utf8().ok().map(Into::into)
    }

    /// Whether `self` lies below the object `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&other.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The path as it goes into a URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where an object is, where it is listed, and what it lives and dies with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The object.
    pub path: Path,
    /// The list that shows it; the object itself where it is the only one of its kind below its parent.
    pub listing: Path,
    /// The object that this one lives and dies with.
    pub parent: Option<Path>,
}

impl Place {
    /// An object that is listed by the collection that it is in.
    #[must_use]
    pub fn in_collection(path: Path) -> Self {
        let listing = path.collection().unwrap_or_else(|| path.clone());
        Self::listed(path, listing)
    }

    /// An object that is shown by a list: that of the collection that it is in, or one below its parent.
    #[must_use]
    pub fn listed(path: Path, listing: Path) -> Self {
        let parent = listing.above();
        Self { path, listing, parent }
    }

    /// The only object of its kind below its parent. No list shows it.
    #[must_use]
    pub fn alone(path: Path, parent: Path) -> Self {
        Self { listing: path.clone(), path, parent: Some(parent) }
    }

    /// Whether no list shows the object.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.listing == self.path
    }

    /// Whether this object lies below another.
    #[must_use]
    pub fn is_below(&self, other: &Path) -> bool {
        let by_parent = self.parent.as_ref().is_some_and(|parent| parent == other || parent.is_below(other));
        by_parent || self.path.is_below(other) || self.listing.is_below(other)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_changes_a_path_becomes_a_segment() {
        for bad in ["", ".", "..", "a/b", "..%2f", "%2e%2e", "a\\b", "a?force=true", "a#b", "a\nb"] {
            assert!(Segment::new(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_segment_is_percent_encoded() {
        assert_eq!(Segment::new("ann smith@example.com").unwrap().to_string(), "ann%20smith%40example.com");
    }

    #[test]
    fn a_stored_path_with_dots_in_it_is_refused() {
        for bad in ["/v2/portals/../x", "/v2/portals/%2e%2e/x", "/v2//x", "v2/x", "/v2/portals/", "/v2/portals/%2f"] {
            assert!(Path::parse(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Path::parse("/v2/portals/0b6e/teams/17").is_ok());
    }

    #[test]
    fn the_parent_of_a_path_is_the_object_above_it() {
        let team = Path::parse("/v2/portals/P/teams/T").unwrap();
        assert_eq!(team.collection().unwrap().as_str(), "/v2/portals/P/teams");
        assert_eq!(Place::in_collection(team.clone()).parent.unwrap().as_str(), "/v2/portals/P");
        assert_eq!(Place::in_collection(Path::parse("/v2/portals/P").unwrap()).parent, None);
        let client = Place::listed(Path::literal("/clients/C"), Path::literal("/servers/S/clients"));
        assert_eq!(client.parent.as_ref().unwrap().as_str(), "/servers/S");
        assert!(client.is_below(&Path::literal("/servers/S")) && !client.is_below(&Path::literal("/servers/T")));
        assert_eq!(Place::in_collection(Path::literal("/consents/C")).parent, None);
        assert!(team.is_below(&Path::parse("/v2/portals/P").unwrap()));
        let domain = Place::alone(Path::literal("/v3/portals/P/custom-domain"), Path::literal("/v2/portals/P"));
        assert!(domain.is_alone() && domain.is_below(&Path::literal("/v2/portals/P")));
        assert!(!domain.is_below(&Path::literal("/v2/portals/Q")));
        assert!(!Path::parse("/v2/portals/PP/teams/T").unwrap().is_below(&Path::parse("/v2/portals/P").unwrap()));
    }
}
