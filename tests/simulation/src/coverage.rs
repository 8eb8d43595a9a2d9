//! Which crashes were drawn: before and after which request, in the middle of what.
//!
//! A point is a request that a pass over a resource of a kind sent in one of four stages, wherever that was: what only a fault, a stranger
//! or another crash brings about counts, too. What a stage is, the engine says ([`portico::engine::Stage`]): a resource without a recorded
//! object makes one or takes one over, one with an object updates it, one that is being deleted deletes. Requests outside of passes belong
//! to no stage, and are no points.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use crate::{
    laws::sorts::{Shape, sort},
    plan::{Millis, Side},
    world::World,
};

/// What the operator is doing with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It makes the object.
    Create,
    /// It takes an object over that is there.
    Adopt,
    /// It deletes the object.
    Delete,
    /// It keeps the object as the spec says.
    Update,
    /// Anything else: watches, sweeps, events.
    Other,
}

/// The stages in which every request is to be crashed.
const STAGES: [(Stage, &str); 4] =
    [(Stage::Create, "create"), (Stage::Update, "update"), (Stage::Adopt, "adopt"), (Stage::Delete, "delete")];

impl Stage {
    /// All that count.
    pub(crate) fn all() -> [Self; 4] {
        STAGES.map(|(stage, _)| stage)
    }

    fn word(self) -> &'static str {
        STAGES.into_iter().find(|(stage, _)| *stage == self).map_or("other", |(_, word)| word)
    }

    /// The stage that counts and is called so.
    pub(crate) fn named(word: &str) -> Option<Self> {
        STAGES.into_iter().find(|(_, known)| *known == word).map(|(stage, _)| stage)
    }

    /// Why no pass over a kind is ever in this stage, where it is so.
    pub(crate) fn never(self, kind: &str) -> Option<&'static str> {
        match (self, sort(kind).map(|sort| sort.shape)) {
            (Self::Adopt, None) => Some("a connection makes nothing at its API, and finds nothing there to take over"),
            (Self::Adopt, Some(Shape::Action)) => Some("what somebody else has started is not ours to have"),
            (Self::Delete, Some(Shape::Action)) => {
                Some("it is over and cannot be taken back: without a finalizer nothing is asked at its end")
            }
            (Self::Create, Some(Shape::Claimed)) => Some("people make the object: it is only ever taken over"),
            (Self::Create, Some(Shape::Singleton)) => Some("the object is there with its parent, and is taken over"),
            _ => None,
        }
    }
}

/// A request in the middle of something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The kind whose pass sends it; `portico` for what no pass sends.
    pub kind: &'static str,
    /// In the middle of what.
    pub stage: Stage,
    /// Whom it goes to.
    pub side: Side,
    /// An operation of a contract; or verb, plural and subresource.
    pub request: String,
}

impl Point {
    /// Whether a fault means it that names a request so: `Portal create create-portal`, or `Portal create *` for all of that stage.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        let request = name.strip_prefix(self.kind).and_then(|rest| rest.strip_prefix(' '));
        let request = request.and_then(|rest| rest.strip_prefix(self.stage.word())?.strip_prefix(' '));
        request.is_some_and(|request| request == "*" || request == self.request)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.stage.word(), self.request)
    }
}

/// How a fault names all requests of a kind in a stage.
pub(crate) fn all_of(kind: &str, stage: Stage) -> String {
    format!("{kind} {} *", stage.word())
}

/// How often a request was sent, and how often the operator crashed there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// It was sent, or would have been.
    pub seen: u64,
    /// A crash came right before it.
    pub before: u64,
    /// A crash came when it had taken effect.
    pub after: u64,
    /// When it was sent first, in the world where that was earliest.
    pub first: Option<Millis>,
}

/// The crash points of one world, or of many.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<Point, Counts>);

impl Coverage {
    /// A request is sent, or about to be.
    pub fn saw(&mut self, point: &Point, now: Millis) {
        let counts = self.at(point);
        counts.seen += 1;
        counts.first.get_or_insert(now);
    }

    /// A crash comes before a request, or after it.
    pub fn crashed(&mut self, point: &Point, after: bool) {
        let counts = self.at(point);
        if after {
            counts.after += 1;
        } else {
            counts.before += 1;
        }
    }

    fn at(&mut self, point: &Point) -> &mut Counts {
        self.0.entry(point.clone()).or_default()
    }

    /// Adds what was drawn in another world.
    pub fn merge(&mut self, other: &Self) {
        for (point, counts) in &other.0 {
            let own = self.at(point);
            own.seen += counts.seen;
            own.before += counts.before;
            own.after += counts.after;
            own.first = own.first.into_iter().chain(counts.first).min();
        }
    }

    /// A table of all points, with what can never be one at its end.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table =
            String::from("| kind | stage | request | sent | crash before | crash after |\n|---|---|---|--:|--:|--:|\n");
        for (Point { kind, stage, request, .. }, Counts { seen, before, after, .. }) in self.points() {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {kind} | {} | {request} | {seen} | {before} | {after} |", stage.word());
        }
        table.push('\n');
        for (kind, stage, word) in every_stage() {
            if let Some(why) = stage.never(kind) {
                let _ = writeln!(table, "{kind} has no {word}: {why}");
            }
        }
        table
    }

    /// What was not drawn: requests that were sent and never crashed before or after, and stages of a kind in which nothing was sent.
    #[must_use]
    pub fn blanks(&self) -> Vec<String> {
        let crashes = self.missing().map(|(point, after)| {
            let when = if after { "after" } else { "before" };
            format!("{} {}: no crash {when} {}", point.kind, point.stage.word(), point.request)
        });
        let drawn: BTreeSet<(&str, Stage)> = self.0.keys().map(|point| (point.kind, point.stage)).collect();
        let open = every_stage().filter(|(kind, stage, _)| stage.never(kind).is_none());
        let unsent = open.filter(|(kind, stage, _)| !drawn.contains(&(*kind, *stage)));
        crashes.chain(unsent.map(|(kind, _, word)| format!("{kind} {word}: nothing was sent"))).collect()
    }

    /// The points that no crash came before, or after (`true`).
    pub fn missing(&self) -> impl Iterator<Item = (&Point, bool)> {
        self.points().flat_map(|(point, counts)| {
            let before = (counts.before == 0).then_some((point, false));
            before.into_iter().chain((counts.after == 0).then_some((point, true)))
        })
    }

    /// How many crashes were drawn, of how many: two a point.
    #[must_use]
    pub fn drawn(&self) -> (usize, usize) {
        let all = 2 * self.points().count();
        (all - self.missing().count(), all)
    }

    /// All points, with their counts.
    pub fn points(&self) -> impl Iterator<Item = (&Point, &Counts)> {
        self.0.iter().filter(|(point, _)| point.stage != Stage::Other)
    }
}

fn every_stage() -> impl Iterator<Item = (&'static str, Stage, &'static str)> {
    World::kinds().iter().flat_map(|kind| STAGES.map(|(stage, word)| (*kind, stage, word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point() -> Point {
        Point { kind: "Portal", stage: Stage::Create, side: Side::Remote, request: "create-portal".to_owned() }
    }

    #[test]
    fn blanks_are_named_and_filled_by_other_worlds() {
        let point = point();
        let mut one = Coverage::default();
        one.saw(&point, 70);
        one.saw(&point, 90);
        one.crashed(&point, false);
        assert_eq!(one.drawn(), (1, 2));
        assert_eq!(one.missing().collect::<Vec<_>>(), [(&point, true)]);
        assert!(one.blanks().contains(&"Portal create: no crash after create-portal".to_owned()), "{:?}", one.blanks());
        assert!(one.blanks().contains(&"Portal adopt: nothing was sent".to_owned()));
        let mut other = Coverage::default();
        other.saw(&point, 60);
        other.crashed(&point, true);
        one.merge(&other);
        assert_eq!(one.drawn(), (2, 2));
        assert_eq!(one.points().map(|(_, counts)| counts.first).collect::<Vec<_>>(), [Some(60)]);
        assert!(one.table().contains("| Portal | create | create-portal | 3 | 1 | 1 |"), "{}", one.table());
    }

    #[test]
    fn what_can_never_be_is_no_blank_and_is_told() {
        let empty = Coverage::default();
        let (blanks, table) = (empty.blanks(), empty.table());
        for (kind, word) in [
            ("PortalAuditLogReplay", "adopt"),
            ("PortalAuditLogReplay", "delete"),
            ("PortalDeveloper", "create"),
            ("PortalAuthentication", "create"),
            ("PortalAuditLogWebhook", "create"),
            ("KonnectConnection", "adopt"),
            ("AcpConnection", "adopt"),
        ] {
            assert!(!blanks.iter().any(|blank| blank.starts_with(&format!("{kind} {word}:"))), "{blanks:?}");
            assert!(table.contains(&format!("{kind} has no {word}: ")), "{table}");
        }
        assert_eq!(blanks.len(), 4 * World::kinds().len() - 7);
    }

    #[test]
    fn a_point_is_known_by_its_name_and_by_that_of_its_stage() {
        let point = point();
        for name in [point.to_string(), all_of("Portal", Stage::Create)] {
            assert!(point.is_named(&name), "{name}");
        }
        for name in ["Portal create", "Portal update *", "PortalTeam create *", "Portal create update-portal", "*"] {
            assert!(!point.is_named(name), "{name}");
        }
    }
}
