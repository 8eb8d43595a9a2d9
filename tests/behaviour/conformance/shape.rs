//! How the objects of a kind come to be and how they end; and what therefore has no meaning for some kinds.

/// How the objects of a kind come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A POST makes them, in a collection.
    Made,
    /// A PUT makes them, under the id that the spec names.
    Upserted,
    /// Others make them, and the spec names one.
    Claimed,
    /// A parent has one, from its beginning to its end.
    Singleton,
    /// A parent has at most one, and a POST makes it.
    Sole,
    /// A PUT starts it, and then it is over.
    Action,
}

/// The kinds whose objects are not simply made.
const SHAPES: [(&str, Shape); 6] = [
    ("PortalAuditLogReplay", Shape::Action),
    ("PortalAuditLogWebhook", Shape::Singleton),
    ("PortalAuthentication", Shape::Singleton),
    ("PortalCustomDomain", Shape::Sole),
    ("PortalDeveloper", Shape::Claimed),
    ("PortalProductVersion", Shape::Upserted),
];

/// What is not tested as it is for other shapes, and why. The tables of the suite show it.
const EXEMPT: [(Shape, &str, &str); 10] = [
    (Shape::Action, "Update", "its spec cannot be changed: the API server refuses it, whatever Portico does"),
    (Shape::Action, "Delete", "it is over and cannot be taken back: without a finalizer nothing is asked at its end"),
    (Shape::Action, "drift", "it is over: nothing is compared, and nothing is put back"),
    (Shape::Action, "yields to the older one", "what is done once can be done again: another one waits its turn"),
    (Shape::Action, "is given up", "nothing holds it, so that nothing has to give it up"),
    (Shape::Action, "is retained", "nothing is deleted, whatever the policy says"),
    (Shape::Action, "is bound by id", "what somebody else has started is not ours to have"),
    (Shape::Action, "is refused until it is adopted", "what somebody else has started does not stand in the way"),
    (Shape::Claimed, "is refused until it is adopted", "whom the spec names is the user's word, and nobody is made"),
    (Shape::Singleton, "is refused until it is adopted", "it belongs to the parent that the spec names"),
];

impl Shape {
    /// The shape of a kind's objects.
    pub(crate) fn of(kind: &str) -> Self {
        SHAPES.iter().find(|(known, _)| *known == kind).map_or(Self::Made, |(_, shape)| *shape)
    }

    /// Whether the objects are there without Portico; they stay when their resource goes, unless it says otherwise.
    pub(crate) fn is_given(self) -> bool {
        matches!(self, Self::Claimed | Self::Singleton)
    }

    /// Whether nothing is left when the resource is gone.
    pub(crate) fn leaves_nothing(self) -> bool {
        matches!(self, Self::Made | Self::Upserted | Self::Sole)
    }

    /// Whether a parent has one and not a list of them.
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Self::Singleton | Self::Sole | Self::Action)
    }

    /// Why something is not tested for this shape, if it is not.
    pub(crate) fn exempt(self, what: &str) -> Option<&'static str> {
        EXEMPT.iter().find(|(shape, known, _)| *shape == self && *known == what).map(|(.., why)| *why)
    }
}
