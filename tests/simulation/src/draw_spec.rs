//! Specs: every field from the one example, from the other, or left out; with references to what is there, to what comes later, and to
//! what never comes; with keys of their own, or with one that another resource has.
use serde_json::{Value, json};

use super::{Draft, Member, library::Model};
use crate::{
    act::rules,
    laws::sorts::{connection, referred, sort, text},
};

/// Fields that are decided apart from the others.
const APART: [&str; 4] = ["allowedNamespaces", "connectionRef", "lifecycle", "credentialsSecret"];
/// Hostnames, which nobody else may have.
const HOSTNAMES: [&str; 3] = ["customDomain", "customClientDomain", "hostname"];
/// So often a spec is drawn that breaks a rule of its kind, before the example has to do.
const TRIES: usize = 6;
/// When audit logs can be sent once more: a world begins on the first day of 2026.
const REPLAYS: [(&str, &str); 3] = [
    ("2025-12-29T08:00:00Z", "2025-12-29T20:00:00Z"),
    ("2025-12-30T08:00:00Z", "2025-12-30T20:00:00Z"),
    ("2025-12-31T08:00:00Z", "2025-12-31T09:30:00Z"),
];

/// Changes that an API, or a rule beyond the schema, does not take.
pub(super) fn bad_change(kind: &str) -> Option<Value> {
    let nobody = "00000000-0000-4000-8000-00000000dead";
    let change = match kind {
        "Portal" => json!({"labels": {"kong-reserved": "x"}}),
        "PortalTeam" => {
            let role = json!({"roleName": "No Such Role", "entityId": nobody, "entityTypeName": "Services", "entityRegion": "eu"});
            json!({"roles": {"items": [role]}})
        }
        "PortalProductVersion" => json!({"authStrategyIds": [nobody]}),
        "PortalIdentityProvider" => json!({"config": {"issuerUrl": "no url"}}),
        "PortalAuthentication" => json!({"idpMappingEnabled": true}),
        "PortalCustomDomain" => json!({"ssl": {"tlsSecretRef": {"name": "nowhere"}}}),
        "AuthorizationServer" => json!({"userPolicyRef": {"id": "no-such-policy"}}),
        "OAuthClient" => json!({"scopes": ["no-such-scope"]}),
        "Consent" => json!({"validFrom": "2031-01-01T00:00:00Z"}),
        "ConsentAction" => json!({"consents": [{"consentRef": {"id": "no-such-consent"}, "required": true}]}),
        _ => return None,
    };
    Some(change)
}

impl Draft {
    /// A spec for the `number`-th resource of its kind, counted from 0.
    pub(super) fn spec(&mut self, model: &'static Model, number: usize, namespace: &str, name: &str) -> Value {
        for _ in 0..TRIES {
            let spec = self.one_spec(model, number, namespace, name);
            if rules::check(model.kind, &spec, None).is_ok() {
                return spec;
            }
        }
        let mut spec = model.example.clone();
        self.refer(model, &mut spec, namespace, false);
        self.make_own(model, &mut spec, number, name);
        spec
    }

    fn one_spec(&mut self, model: &'static Model, number: usize, namespace: &str, name: &str) -> Value {
        let mut spec = json!({});
        // Some say much, some little.
        let richness = *self.dice.pick(&[20, 60, 90]);
        for field in model.fields().into_iter().filter(|field| !APART.contains(&field.as_str())) {
            let (one, other) = (&model.example[field], &model.changed[field]);
            if !model.is_required(field) && !self.dice.chance(richness) {
                continue;
            }
            let value = if self.dice.chance(70) || other.is_null() { one } else { other };
            if !value.is_null() {
                spec[field] = value.clone();
            }
        }
        if model.example["credentialsSecret"].is_object() && spec["clientSecretRef"].is_null() && self.dice.chance(75) {
            spec["credentialsSecret"] = model.example["credentialsSecret"].clone();
        }
        self.refer(model, &mut spec, namespace, true);
        self.make_own(model, &mut spec, number, name);
        if let Some(lifecycle) = self.lifecycle(model) {
            spec["lifecycle"] = lifecycle;
        }
        spec
    }

    /// Puts references in the place of those that the example has.
    fn refer(&mut self, model: &'static Model, spec: &mut Value, namespace: &str, freely: bool) {
        let Some(sort) = sort(model.kind) else { return };
        let target = if sort.parent.is_empty() { None } else { referred(sort.parent, sort.api) };
        if let Some(target) = target {
            let reference = self.reference(target, namespace, freely);
            if reference["id"].is_string() {
                // Its connection is not known from a resource.
                spec["connectionRef"] = self.connection_ref(connection(sort.api), namespace, freely);
            }
            spec[sort.parent] = reference;
        } else {
            spec["connectionRef"] = self.connection_ref(connection(sort.api), namespace, freely);
        }
        if let Some(consents) = spec["consents"].as_array().cloned() {
            let mut named: Vec<Value> = Vec::new();
            for mut entry in consents {
                entry["consentRef"] = self.reference("Consent", namespace, freely);
                if !named.iter().any(|known| known["consentRef"] == entry["consentRef"]) {
                    named.push(entry);
                }
            }
            spec["consents"] = json!(named);
        }
        if ["Portal", "AuthorizationServer", "Consent"].contains(&model.kind) && self.is_wide && self.dice.chance(70) {
            spec["allowedNamespaces"] = json!({"from": "All"});
        }
    }

    /// A reference to a resource that there is, or will be; rarely to nothing, or to an object of a stranger.
    fn reference(&mut self, kind: &'static str, namespace: &str, freely: bool) -> Value {
        if freely && self.dice.chance(3) {
            return json!({"name": "nowhere"});
        }
        if freely && self.dice.chance(4) {
            return json!({"id": format!("${{id:{kind}:strange}}")});
        }
        let target = self.target(kind, namespace);
        let is_elsewhere = target.namespace != namespace;
        if is_elsewhere {
            json!({"name": target.name, "namespace": target.namespace})
        } else {
            json!({"name": target.name})
        }
    }

    /// A resource of a kind that others can refer to.
    fn target(&mut self, kind: &'static str, namespace: &str) -> Member {
        let all: Vec<Member> = self.cast.iter().filter(|member| member.model.kind == kind).cloned().collect();
        let near: Vec<Member> = all.iter().filter(|member| member.namespace == namespace).cloned().collect();
        if !near.is_empty() && self.dice.chance(85) {
            return self.dice.pick(&near).clone();
        }
        if !all.is_empty() && self.dice.chance(60) {
            return self.dice.pick(&all).clone();
        }
        self.join(kind, namespace)
    }

    fn connection_ref(&mut self, kind: &'static str, namespace: &str, freely: bool) -> Value {
        let name = self.connection_name(kind);
        if freely && self.dice.chance(2) {
            return json!({"name": "nowhere"});
        }
        if namespace == crate::world::NAMESPACE { json!({"name": name}) } else { self.connection_elsewhere(&name) }
    }

    /// What two resources of one kind cannot both have, is mostly each one's own.
    pub(super) fn make_own(&mut self, model: &Model, spec: &mut Value, number: usize, name: &str) {
        let Some(sort) = sort(model.kind) else { return };
        if !sort.chosen.is_empty() && sort.chosen != sort.key.1 {
            if let Some(members) = spec.as_object_mut() {
                members.remove(sort.chosen);
            }
            if self.dice.chance(12) {
                spec[sort.chosen] = json!(format!("chosen-{name}"));
            } else if self.dice.chance(1) {
                // Something that is part of the API.
                spec[sort.chosen] = json!("admin");
            }
        }
        if !spec["startAt"].is_null() {
            let (from, until) = REPLAYS[number % REPLAYS.len()];
            (spec["startAt"], spec["endAt"]) = (json!(from), json!(until));
            if self.dice.chance(4) {
                // Longer ago than anybody remembers.
                spec["startAt"] = json!("2025-11-01T00:00:00Z");
            }
        }
        let is_first = number == 0;
        if spec["credentialsSecret"].is_object() && !is_first && !self.dice.chance(5) {
            spec["credentialsSecret"]["name"] = json!(format!("{name}-credentials"));
        }
        // One of six has what the first has.
        if is_first || self.dice.chance(16) {
            return;
        }
        for field in HOSTNAMES {
            if let Some(host) = spec[field].as_str().filter(|host| !host.is_empty()) {
                spec[field] = json!(format!("n{number}.{host}"));
            }
        }
        match sort.key.1 {
            "name" => {
                if let Some(members) = spec.as_object_mut() {
                    members.remove("name");
                }
            }
            "email" => spec["email"] = json!(format!("dev{number}@example.com")),
            "productVersionId" => spec["productVersionId"] = json!(version_id(number)),
            "type" if number % 2 == 1 => {
                let members = json!({"type": "saml", "config": {"idpMetadataUrl": "https://idp.example.com/metadata"}});
                for (field, value) in members.as_object().into_iter().flatten() {
                    spec[field] = value.clone();
                }
            }
            _ => {}
        }
    }

    fn lifecycle(&mut self, model: &Model) -> Option<Value> {
        let choices: [(u64, Option<Value>); 9] = [
            (50, None),
            (10, Some(model.example["lifecycle"].clone()).filter(Value::is_object)),
            (18, Some(json!({"adoption": "Adopt", "deletion": "Delete"}))),
            (6, Some(json!({"deletion": "Retain"}))),
            (6, Some(json!({"deletion": "Delete"}))),
            (8, Some(json!({"drift": "Report"}))),
            (4, Some(json!({"mode": "Observe"}))),
            (8, Some(json!({"replace": "Allow"}))),
            (4, Some(json!({"adoption": "Adopt", "id": format!("${{id:{}:strange}}", model.kind)}))),
        ];
        self.dice.weigh(&choices).clone()
    }

    /// A change of one field of a spec, as a merge patch.
    pub(super) fn change(&mut self, member: &Member) -> Value {
        let model = member.model;
        let fields = model.fields();
        let open: Vec<&String> =
            fields.into_iter().filter(|field| !model.is_fixed(field) && !APART.contains(&field.as_str())).collect();
        if model.example["credentialsSecret"].is_object() && self.dice.chance(8) {
            let secret = json!({"name": format!("{}-credentials", member.name)});
            return json!({"clientSecretRef": null, "credentialsSecret": secret});
        }
        if open.is_empty() || self.dice.chance(8) {
            let lifecycle = self.lifecycle(model).unwrap_or_else(|| json!({"drift": "Correct"}));
            // What it was bound to before would no longer fit.
            let lifecycle = if lifecycle["id"].is_string() { json!({"adoption": "Adopt"}) } else { lifecycle };
            return json!({ "lifecycle": lifecycle });
        }
        let field = (*self.dice.pick(&open)).clone();
        let (one, other) = (&model.example[&field], &model.changed[&field]);
        let empty = match one {
            Value::String(_) => json!(""),
            Value::Array(_) => json!([]),
            _ => Value::Null,
        };
        let choices = [(30, one.clone()), (55, other.clone()), (10, Value::Null), (5, empty)];
        let value = self.dice.weigh(&choices).clone();
        let value = if value.is_null() && model.is_required(&field) { one.clone() } else { value };
        let mut change = json!({});
        if field == "clientSecretRef" && !value.is_null() {
            // One's own secret takes the place of Portico's.
            change["credentialsSecret"] = Value::Null;
        }
        change[&field] = self.with_targets(value, &member.namespace);
        change
    }

    /// The consents of an example are those of this world.
    fn with_targets(&mut self, mut value: Value, namespace: &str) -> Value {
        for entry in value.as_array_mut().into_iter().flatten() {
            if entry["consentRef"].is_object() {
                entry["consentRef"] = self.reference("Consent", namespace, true);
            }
        }
        value
    }
}

/// The id of the version of a product that only this resource publishes.
pub(super) fn version_id(number: usize) -> String {
    format!("c47d0e52-3b1f-4a86-9d20-{number:012x}")
}

/// The texts under a name, at every depth.
pub(super) fn texts<'v>(value: &'v Value, named: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            for (field, member) in members {
                if field == named {
                    found.push(text(member));
                    found.extend(member.as_array().into_iter().flatten().map(text));
                }
                texts(member, named, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, named, found)),
        _ => {}
    }
    found.retain(|text| !text.is_empty());
}
