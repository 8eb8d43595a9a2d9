//! Which crashes were drawn: before and after which request, in the middle of what.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{plan::Side, world::World};

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
    /// Anything else: watches, sweeps without anyone who waits for them, events.
    Other,
}

/// The stages in which every request is to be crashed.
const STAGES: [(Stage, &str); 4] =
    [(Stage::Create, "create"), (Stage::Update, "update"), (Stage::Adopt, "adopt"), (Stage::Delete, "delete")];

impl Stage {
    fn word(self) -> &'static str {
        STAGES.into_iter().find(|(stage, _)| *stage == self).map_or("other", |(_, word)| word)
    }
}

/// A request in the middle of something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The kind that it is about; `portico` for what is about none.
    pub kind: &'static str,
    /// In the middle of what.
    pub stage: Stage,
    /// Whom it goes to.
    pub side: Side,
    /// An operation of a contract; or verb, plural and subresource.
    pub request: String,
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
}

/// The crash points of one world, or of many.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<Point, Counts>);

impl Coverage {
    /// A request is sent, or about to be.
    pub fn saw(&mut self, point: &Point) {
        self.at(point).seen += 1;
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
        }
    }

    /// A table of all requests that were seen in the stages that count.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table =
            String::from("| kind | stage | request | sent | crash before | crash after |\n|---|---|---|--:|--:|--:|\n");
        for (Point { kind, stage, request, .. }, Counts { seen, before, after }) in self.staged() {
            // Writing to a String cannot fail.
            let _ = writeln!(table, "| {kind} | {} | {request} | {seen} | {before} | {after} |", stage.word());
        }
        table
    }

    /// What was not drawn: requests that were sent and never crashed before or after, and stages of a kind in which nothing was sent.
    #[must_use]
    pub fn blanks(&self) -> Vec<String> {
        let never = |point: &Point, when: &str| {
            format!("{} {}: no crash {when} {}", point.kind, point.stage.word(), point.request)
        };
        let crashes = self.staged().flat_map(|(point, counts)| {
            let before = (counts.before == 0).then(|| never(point, "before"));
            let after = (counts.after == 0).then(|| never(point, "after"));
            before.into_iter().chain(after)
        });
        let drawn: BTreeSet<(&str, Stage)> = self.0.keys().map(|point| (point.kind, point.stage)).collect();
        let all = World::kinds().iter().flat_map(|kind| STAGES.map(|(stage, word)| (*kind, stage, word)));
        // A connection has no object at the API that could be taken over.
        let possible = all.filter(|(kind, stage, _)| *stage != Stage::Adopt || !kind.ends_with("Connection"));
        let missing = possible.filter(|(kind, stage, _)| !drawn.contains(&(*kind, *stage)));
        let missing = missing.map(|(kind, _, word)| format!("{kind} {word}: nothing was sent"));
        crashes.chain(missing).collect()
    }

    /// How many crash points were drawn, of how many.
    #[must_use]
    pub fn drawn(&self) -> (usize, usize) {
        let points = self.staged().flat_map(|(_, counts)| [counts.before, counts.after]);
        points.fold((0, 0), |(drawn, all), count| (drawn + usize::from(count > 0), all + 1))
    }

    fn staged(&self) -> impl Iterator<Item = (&Point, &Counts)> {
        self.0.iter().filter(|(point, _)| point.stage != Stage::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_named_and_filled_by_other_worlds() {
        let point =
            Point { kind: "Portal", stage: Stage::Create, side: Side::Remote, request: "create-portal".to_owned() };
        let mut one = Coverage::default();
        one.saw(&point);
        one.crashed(&point, false);
        assert_eq!(one.drawn(), (1, 2));
        assert!(one.blanks().contains(&"Portal create: no crash after create-portal".to_owned()), "{:?}", one.blanks());
        assert!(one.blanks().contains(&"Portal adopt: nothing was sent".to_owned()));
        let mut other = Coverage::default();
        other.crashed(&point, true);
        one.merge(&other);
        assert_eq!(one.drawn(), (2, 2));
        assert!(one.table().contains("| Portal | create | create-portal | 1 | 1 | 1 |"), "{}", one.table());
    }
}
