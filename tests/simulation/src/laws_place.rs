//! Law 9: what is Ready is where its spec says: below the parent that it names by now, and of the key that it gives by now. What was made
//! for an earlier spec has moved, or the status says that it cannot.
use serde_json::Value;

use super::{
    end::End,
    look::{holds, known_path, natural_key, parent},
    sorts::{Shape, Sort, text},
};

/// Where an object is that is not where it should be. `above`: the id of what the spec says that it belongs to.
fn misplaced(sort: &Sort, resource: &Value, object: &Value, above: &str) -> Option<String> {
    let path = known_path(resource)?;
    let collection = sort.collection(above);
    let below = path.rsplit_once('/').map_or(path, |(collection, _)| collection);
    let at = if sort.is_single() { path } else { below };
    if !at.eq_ignore_ascii_case(&collection) {
        return Some(format!("its object is at {path}, and not at {collection}"));
    }
    let server = text(&object["authorization_server_id"]);
    if sort.parent == "serverRef" && server != above {
        return Some(format!("its object belongs to {server}, and not to {above}"));
    }
    let key = natural_key(resource).filter(|_| sort.shape == Shape::Upsert)?;
    let is_it = path.rsplit('/').next().is_some_and(|id| id.eq_ignore_ascii_case(&key));
    (!is_it).then(|| format!("its object is {path}, and not that of {key}"))
}

impl End<'_> {
    /// Where the object of a resource is, if that is not where its spec says. A parent that is not Ready itself may be about to get another
    /// id, and whoever only goes by an older one is told of it then.
    pub(super) fn misplaced(&self, sort: &Sort, resource: &Value, object: &Value) -> Option<String> {
        let above = parent(resource)?;
        let target = self.notes.living(above.kind, &above.namespace, &above.name);
        let is_settled = !above.id.is_empty() || target.is_some_and(|target| holds(target, "Ready") == "True");
        misplaced(sort, resource, object, &self.notes.parent_id(resource).filter(|_| is_settled)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::laws::sorts::sort;

    fn at(kind: &str, path: &str, object: &Value) -> bool {
        let spec = json!({"productVersionId": "V1"});
        let status = json!({"id": "x", "remote": {"uid": "u", "path": path}});
        let resource = json!({"kind": kind, "metadata": {"name": "n", "uid": "u"}, "spec": spec, "status": status});
        misplaced(sort(kind).expect("it is known"), &resource, object, "p").is_none()
    }

    #[test]
    fn an_object_is_below_the_parent_and_has_the_key_that_the_spec_names() {
        let none = Value::Null;
        assert!(at("PortalTeam", "/v2/portals/p/teams/x", &none) && !at("PortalTeam", "/v2/portals/q/teams/x", &none));
        assert!(at("PortalCustomDomain", "/v3/portals/p/custom-domain", &none));
        assert!(!at("PortalCustomDomain", "/v3/portals/q/custom-domain", &none));
        assert!(at("PortalProductVersion", "/v2/portals/p/product-versions/v1", &none));
        assert!(!at("PortalProductVersion", "/v2/portals/p/product-versions/v2", &none));
        assert!(at("OAuthClient", "/clients/x", &json!({"authorization_server_id": "p"})));
        assert!(!at("OAuthClient", "/clients/x", &json!({"authorization_server_id": "q"})));
    }
}
