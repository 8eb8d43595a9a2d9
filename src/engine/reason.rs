//! The one vocabulary of reasons.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Why a condition is what it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name),* }

        impl Reason {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// The word as it stands in conditions and events.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

impl Reason {
    /// Whether it says that something else has to happen first: that is not an error (law 10).
    #[must_use]
    pub fn is_waiting(self) -> bool {
        use Reason::{
            ConnectionNotReady, Creating, Deleting, Paused, RateLimited, ReferenceNotFound, ReferenceNotReady,
            SecretNotFound, Updating,
        };
        matches!(
            self,
            ConnectionNotReady
                | Creating
                | Deleting
                | Paused
                | RateLimited
                | ReferenceNotFound
                | ReferenceNotReady
                | SecretNotFound
                | Updating
        )
    }
}

impl Reason {
    /// Whether its message repeats the API's words, which may hold something new in every answer. Those that name who or what is in the way
    /// are our own.
    #[must_use]
    pub fn quotes_the_api(self, message: &str) -> bool {
        use Reason::{
            AlreadyExists, ConnectionNotReady, CredentialRejected, DeletionBlocked, InvalidSpec, PermissionDenied,
            QuotaExceeded, RemoteUnavailable,
        };
        match self {
            AlreadyExists => message.starts_with("the API "),
            ConnectionNotReady => message.contains("the API refused its credential: "),
            DeletionBlocked => {
                !message.starts_with("these ") && !message.contains(" resources have objects through it")
            }
            CredentialRejected | InvalidSpec | PermissionDenied | QuotaExceeded | RemoteUnavailable => true,
            _ => false,
        }
    }
}

reasons! {
    /// The object exists and equals the spec.
    Available,
    /// The object is being created.
    Creating,
    /// The object is being changed.
    Updating,
    /// The object is being deleted.
    Deleting,
    /// Someone changed the object at the API.
    DriftDetected,
    /// Such a change was put back.
    DriftCorrected,
    /// A resource that is referred to does not exist.
    ReferenceNotFound,
    /// A resource that is referred to has no object at the API yet.
    ReferenceNotReady,
    /// A resource in another namespace does not allow the reference.
    ReferenceNotPermitted,
    /// A Secret or `ConfigMap`, or the key in it, does not exist.
    SecretNotFound,
    /// Portico may not read a Secret.
    SecretAccessDenied,
    /// Nobody knows a secret any more: its Secret is gone, and the API does not show it.
    CredentialLost,
    /// The connection is not usable.
    ConnectionNotReady,
    /// The API refuses the credential.
    CredentialRejected,
    /// The credential belongs to another account than the one that holds the objects.
    AccountChanged,
    /// The credential may not do this.
    PermissionDenied,
    /// The account has no more room.
    QuotaExceeded,
    /// The API asks for fewer requests.
    RateLimited,
    /// The API, or Portico, does not accept the spec.
    InvalidSpec,
    /// Another resource claims the same object.
    Conflict,
    /// A stranger's object has this name.
    AlreadyExists,
    /// The object carries the mark of another Portico installation.
    OwnedByAnother,
    /// Several objects could be the one that was created.
    Ambiguous,
    /// The object that the resource is bound to does not exist.
    NotFound,
    /// Many objects vanished at once.
    MassAbsence,
    /// The API cannot be reached, or fails.
    RemoteUnavailable,
    /// A field changed that the API cannot change.
    ImmutableFieldChanged,
    /// Something holds the deletion.
    DeletionBlocked,
    /// The user wants the resource left alone.
    Paused,
}
