//! What may be asked of a listing and of a watch (`k8s.io/apimachinery/pkg/apis/meta/internalversion`).
use serde_json::json;

use super::{
    refusal::{Flaw, Refusal},
    route::Request,
};

const EXACT: &str = "Exact";
const NOT_OLDER: &str = "NotOlderThan";
const MATCH: &str = "resourceVersionMatch";
const INITIAL: &str = "sendInitialEvents";

/// Whether a watch begins with all that is there: because it is asked to, or as watches did before they could be asked.
pub(super) fn sends_initial_events(request: &Request) -> bool {
    if request.query(INITIAL).is_empty() {
        return ["", "0"].contains(&request.query("resourceVersion")) && request.query(MATCH).is_empty();
    }
    request.is_set(INITIAL)
}

/// Refuses a listing that makes no sense.
pub(super) fn check_list(request: &Request) -> Result<(), Refusal> {
    let version = request.query("resourceVersion");
    let mut flaws = Vec::new();
    if !request.query(MATCH).is_empty() {
        if version.is_empty() {
            flaws.push(Flaw::forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        flaws.extend(of_a_match(request, &[EXACT, NOT_OLDER, ""]));
        if request.query(MATCH) == EXACT && version == "0" {
            let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            flaws.push(Flaw::forbidden(MATCH, why));
        }
    }
    if !request.query(INITIAL).is_empty() {
        flaws.push(Flaw::forbidden(INITIAL, "sendInitialEvents is forbidden for list"));
    }
    refuse(&flaws)
}

/// Refuses a watch that makes no sense.
pub(super) fn check_watch(request: &Request) -> Result<(), Refusal> {
    let is_asked = !request.query(INITIAL).is_empty();
    let mut flaws = Vec::new();
    if is_asked && request.query(MATCH) != NOT_OLDER {
        flaws.push(Flaw::forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
    }
    if !request.query(MATCH).is_empty() {
        if !is_asked {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            flaws.push(Flaw::forbidden(MATCH, why));
        }
        flaws.extend(of_a_match(request, &[NOT_OLDER]));
    }
    refuse(&flaws)
}

fn of_a_match(request: &Request, supported: &[&str]) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if !request.query("continue").is_empty() {
        flaws.push(Flaw::forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
    }
    if !supported.contains(&request.query(MATCH)) {
        let supported: Vec<String> = supported.iter().map(|word| (*word).to_owned()).collect();
        flaws.push(Flaw::unsupported(MATCH, &json!(request.query(MATCH)), &supported));
    }
    flaws
}

fn refuse(flaws: &[Flaw]) -> Result<(), Refusal> {
    if flaws.is_empty() { Ok(()) } else { Err(Refusal::invalid("meta.k8s.io", "ListOptions", "", flaws)) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::simulated::route::Route;

    fn request(query: &str) -> Request {
        let request = http::Request::get(format!("/api/v1/secrets?{query}")).body(()).unwrap();
        match Route::parse(&request.into_parts().0, Bytes::new()).unwrap() {
            Route::Resource(request) => *request,
            Route::Version => panic!("not about a resource"),
        }
    }

    #[test]
    fn a_watch_begins_with_what_is_there_where_it_names_no_version_or_is_asked_to() {
        for (query, expected) in [
            ("", true),
            ("resourceVersion=0", true),
            ("resourceVersion=7", false),
            ("resourceVersion=7&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", true),
            ("resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", false),
        ] {
            assert_eq!(sends_initial_events(&request(query)), expected, "{query}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refusal = check_list(&request("resourceVersionMatch=Exact")).unwrap_err();
        assert_eq!(
            refusal.message,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless \
             resourceVersion is provided"
        );
        for wrong in [
            "sendInitialEvents=true",
            "resourceVersion=0&resourceVersionMatch=Exact",
            "resourceVersion=7&resourceVersionMatch=No",
        ] {
            assert_eq!(check_list(&request(wrong)).unwrap_err().code, 422, "{wrong}");
        }
        for wrong in ["sendInitialEvents=true", "resourceVersion=7&resourceVersionMatch=NotOlderThan"] {
            assert_eq!(check_watch(&request(wrong)).unwrap_err().code, 422, "{wrong}");
        }
        assert!(check_list(&request("resourceVersion=7&resourceVersionMatch=NotOlderThan&limit=5")).is_ok());
        assert!(check_watch(&request("sendInitialEvents=true&resourceVersionMatch=NotOlderThan")).is_ok());
    }
}
