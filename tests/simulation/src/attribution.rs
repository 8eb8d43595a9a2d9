//! For whom the operator sends a request, and in the middle of what: the engine says it of the pass that sends it.
//!
//! Nobody's are the requests outside of passes (watches, the Lease, events), those of sweeps, which look at the objects of others, and what
//! whoever comes first fetches for all: the key of the digests, and an access token, unless a connection tries its credential with it.
use portico::engine::{self, Working, own::DIGEST_KEY, working_on};
use portico_testbed::simulated::Call;

use crate::{
    coverage::{Point, Stage},
    laws::sorts::{Shape, sort},
    plan::Side,
    seen::RemoteRequest,
};

/// Whose a request is that is nobody's.
const ENGINE: &str = "portico";

/// Where a request to the API server belongs. To be asked while it is being sent.
pub(crate) fn of_call(call: &Call) -> Point {
    let is_for_all = call.resource == "secrets" && call.name == DIGEST_KEY;
    let what = match call.resource.as_str() {
        "secrets" if call.name.starts_with("portico-escrow-") => " (escrow)",
        "secrets" if is_for_all => " (digest key)",
        _ => "",
    };
    let (kind, stage) = owner(working_on().filter(|_| !is_for_all).as_ref());
    Point { kind, stage, side: Side::Kubernetes, request: format!("{}{what}", call_name(call)) }
}

/// Where a request to a management API belongs. To be asked while it is being sent.
pub(crate) fn of_remote(request: &RemoteRequest) -> Point {
    let is_its = |working: &Working| request.operation != "token" || is_connection(working.key.kind);
    let (kind, stage) = owner(working_on().filter(is_its).as_ref());
    let named = if request.operation.is_empty() { request.method.as_str() } else { request.operation };
    Point { kind, stage, side: Side::Remote, request: named.to_owned() }
}

/// The UID of the resource whose pass sends a request. To be asked while it is being sent.
pub(crate) fn sender() -> Option<String> {
    working_on().map(|working| working.uid)
}

fn is_connection(kind: &str) -> bool {
    sort(kind).is_none()
}

/// The kind and the stage that count for a pass.
fn owner(working: Option<&Working>) -> (&'static str, Stage) {
    let Some((kind, stage)) = working.and_then(|working| Some((working.key.kind, working.stage?))) else {
        return (ENGINE, Stage::Other);
    };
    let shape = sort(kind).map(|sort| sort.shape);
    let stage = match (stage, shape) {
        // What is there without us is taken over, whatever the spec says; what is done once is never another's.
        (engine::Stage::Create, Some(Shape::Claimed | Shape::Singleton)) => Stage::Adopt,
        (engine::Stage::Adopt, Some(Shape::Action)) | (engine::Stage::Create, _) => Stage::Create,
        (engine::Stage::Adopt, _) => Stage::Adopt,
        (engine::Stage::Update, _) => Stage::Update,
        (engine::Stage::Delete, _) => Stage::Delete,
    };
    (kind, stage)
}

/// The verb, the plural and the subresource: `patch portals/status`.
pub(crate) fn call_name(call: &Call) -> String {
    let plural = call.resource.split('.').next().unwrap_or_default();
    let slash = if call.subresource.is_empty() { "" } else { "/" };
    format!("{} {plural}{slash}{}", call.verb, call.subresource)
}

#[cfg(test)]
mod tests {
    use portico::engine::key::Key;

    use super::*;

    fn working(kind: &'static str, stage: Option<engine::Stage>) -> Working {
        Working { key: Key::new(kind, "world", "a"), uid: "uid".to_owned(), stage }
    }

    #[test]
    fn a_request_belongs_to_the_pass_that_sends_it() {
        let of = |kind, stage| owner(Some(&working(kind, Some(stage))));
        assert_eq!(of("Portal", engine::Stage::Create), ("Portal", Stage::Create));
        assert_eq!(of("Portal", engine::Stage::Adopt), ("Portal", Stage::Adopt));
        assert_eq!(of("AcpConnection", engine::Stage::Update), ("AcpConnection", Stage::Update));
        assert_eq!(of("PortalDeveloper", engine::Stage::Create), ("PortalDeveloper", Stage::Adopt));
        assert_eq!(of("PortalAuthentication", engine::Stage::Delete), ("PortalAuthentication", Stage::Delete));
        assert_eq!(of("PortalAuditLogReplay", engine::Stage::Adopt), ("PortalAuditLogReplay", Stage::Create));
    }

    #[test]
    fn outside_of_passes_and_in_sweeps_it_is_nobodys() {
        assert_eq!(owner(None), (ENGINE, Stage::Other));
        assert_eq!(owner(Some(&working("KonnectConnection", None))), (ENGINE, Stage::Other));
    }
}
