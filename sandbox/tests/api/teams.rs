//! Teams, their members, roles and groups.

use portico_sandbox::{Plant, Switches};
use serde_json::{Value, json};

use crate::client::{Acme, id};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn role(entity: &str) -> Value {
    json!({"role_name": "API Viewer", "entity_id": entity, "entity_type_name": "Services", "entity_region": "eu"})
}

fn product(acme: &Acme) -> String {
    acme.sandbox.plant("acme", Plant::ApiProduct { name: "orders".to_owned() }).unwrap()
}

#[tokio::test]
async fn team_names_are_not_unique() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let (one, two) = (acme.team(&portal, "core").await, acme.team(&portal, "core").await);
    assert_ne!(one, two);
    let found = acme.get(&format!("{portal}/teams?filter[name][eq]=core")).await;
    assert_eq!(found.all("id"), [id(&one), id(&two)]);
    assert_eq!(acme.delete(&one).await.status, 204);
    assert_eq!(acme.get(&one).await.status, 404);
    assert_eq!(acme.get(&two).await.status, 200);
}

#[tokio::test]
async fn a_team_is_checked_and_its_description_cannot_be_null() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let teams = format!("{portal}/teams");
    assert_eq!(acme.post(&teams, json!({})).await.refusal(), ("name", "required", "body"));
    assert_eq!(acme.post(&teams, json!({"name": ""})).await.refusal(), ("name", "matches_regex", "body"));
    let long = acme.post(&teams, json!({"name": "n".repeat(251)})).await;
    assert_eq!(long.refusal(), ("name", "max_length", "body"));
    let team = acme.team(&portal, "core").await;
    let refused = acme.patch(&team, json!({"description": null})).await;
    assert_eq!(refused.refusal(), ("description", "is_string", "body"));
    let changed = acme.patch(&team, json!({"description": "ours", "unknown": "ignored"})).await;
    assert_eq!((changed.status, &changed.body["description"]), (200, &json!("ours")));
    assert!(changed.body.get("unknown").is_none());
    assert_eq!(acme.patch(&team, json!({"description": ""})).await.body["description"], "");
}

#[tokio::test]
async fn members_are_added_once_and_leave_with_their_account() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let team = acme.team(&portal, "core").await;
    let (ann, bob) = (acme.developer(&portal, "ann@example.com"), acme.developer(&portal, "bob@example.com"));
    let members = format!("{team}/developers");
    let added = acme.post(&members, json!({"id": ann})).await;
    assert_eq!((added.status, &added.body), (201, &Value::Null));
    assert_eq!(acme.post(&members, json!({"id": ann})).await.status, 409);
    assert_eq!(acme.post(&members, json!({"id": NOBODY})).await.status, 404);
    assert_eq!(acme.post(&members, json!({"id": "ann"})).await.refusal(), ("id", "is_uuid", "body"));
    assert_eq!(acme.post(&members, json!({})).await.refusal(), ("id", "required", "body"));
    acme.post(&members, json!({"id": bob})).await;
    let listed = acme.get(&members).await;
    assert_eq!(listed.all("email"), ["ann@example.com", "bob@example.com"]);
    assert_eq!(listed.body["data"][0]["active"], true);
    assert_eq!(acme.get(&format!("{members}?filter[email]=bob@example.com")).await.all("id"), [bob.as_str()]);
    assert_eq!(acme.get(&format!("{portal}/developers/{ann}/teams")).await.all("name"), ["core"]);
    assert_eq!(acme.delete(&format!("{members}/{ann}")).await.status, 204);
    assert_eq!(acme.delete(&format!("{members}/{ann}")).await.status, 404);
    assert_eq!(acme.delete(&format!("{portal}/developers/{bob}")).await.status, 204);
    assert!(acme.get(&members).await.all("email").is_empty());
}

#[tokio::test]
async fn a_role_needs_all_four_members_and_is_assigned_once() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let team = acme.team(&portal, "core").await;
    let product = product(&acme);
    let roles = format!("{team}/assigned-roles");
    for member in ["role_name", "entity_id", "entity_type_name", "entity_region"] {
        let mut body = role(&product);
        body.as_object_mut().unwrap().remove(member);
        assert_eq!(acme.post(&roles, body).await.refusal(), (member, "required", "body"));
    }
    let assigned = acme.post(&roles, role(&product)).await;
    assert_eq!(assigned.status, 201, "{assigned:?}");
    let mut expected = role(&product);
    expected["id"] = json!(assigned.id());
    assert_eq!(assigned.body, expected);
    assert_eq!(acme.post(&roles, role(&product)).await.status, 409);
    assert_eq!(acme.get(&roles).await.body["data"], json!([expected]));
    let assignment = format!("{roles}/{}", assigned.id());
    assert_eq!(acme.delete(&assignment).await.status, 204);
    assert_eq!(acme.delete(&assignment).await.status, 404);
}

#[tokio::test]
async fn a_role_must_be_in_the_catalogue_and_its_entity_exist() {
    let acme = Acme::new();
    let catalogue = acme.get("/v2/portal-roles").await;
    assert_eq!(catalogue.body["services"]["roles"]["apiviewer"]["name"], "API Viewer");
    let portal = acme.portal("docs").await;
    let roles = format!("{}/assigned-roles", acme.team(&portal, "core").await);
    let product = product(&acme);
    let with = |member: &str, value: &str| {
        let mut body = role(&product);
        body[member] = json!(value);
        body
    };
    let refused = acme.post(&roles, with("role_name", "Owner")).await;
    assert_eq!(refused.refusal(), ("role_name", "enum", "body"));
    assert_eq!(refused.body["invalid_parameters"][0]["choices"], json!(["API Viewer", "API Consumer"]));
    let refused = acme.post(&roles, with("entity_type_name", "Portals")).await;
    assert_eq!(refused.refusal(), ("entity_type_name", "enum", "body"));
    let refused = acme.post(&roles, with("entity_region", "mars")).await;
    assert_eq!(refused.refusal(), ("entity_region", "enum", "body"));
    let refused = acme.post(&roles, role(NOBODY)).await;
    assert_eq!(refused.refusal(), ("entity_id", "missing_reference", "body"));

    let acme = Acme::with(Switches { check_role_entity: false, ..Switches::default() });
    let portal = acme.portal("docs").await;
    let roles = format!("{}/assigned-roles", acme.team(&portal, "core").await);
    assert_eq!(acme.post(&roles, role(NOBODY)).await.status, 201);
}

#[tokio::test]
async fn groups_wait_for_an_identity_provider() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let team = acme.team(&portal, "core").await;
    let mappings = format!("{portal}/identity-provider/team-group-mappings");
    let body = json!({"data": [{"team_id": id(&team), "groups": ["engineers"]}]});
    let expected = ("identity_provider", "missing_reference", "-");
    assert_eq!(acme.get(&mappings).await.refusal(), expected);
    assert_eq!(acme.patch(&mappings, body.clone()).await.refusal(), expected);
    acme.provider(&portal);
    assert_eq!(acme.get(&mappings).await.body["data"], json!([]));
    assert_eq!(acme.patch(&mappings, body).await.status, 200);
}

#[tokio::test]
async fn the_groups_of_a_team_are_replaced_as_a_whole() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    acme.provider(&portal);
    let (one, two) = (id(&acme.team(&portal, "one").await), id(&acme.team(&portal, "two").await));
    let mappings = format!("{portal}/identity-provider/team-group-mappings");
    let set = async |team: &str, groups: Value| {
        acme.patch(&mappings, json!({"data": [{"team_id": team, "groups": groups}]})).await
    };
    assert_eq!(set(&one, json!(["a", "b", "a"])).await.body["data"], json!([{"team_id": one, "groups": ["a", "b"]}]));
    set(&two, json!(["c"])).await;
    set(&one, json!(["d"])).await;
    let both = json!([{"team_id": one, "groups": ["d"]}, {"team_id": two, "groups": ["c"]}]);
    let listed = acme.get(&mappings).await;
    assert_eq!((&listed.body["data"], &listed.body["meta"]["page"]["total"]), (&both, &json!(2)));
    assert_eq!(acme.get(&format!("{mappings}?page[size]=1&page[number]=2")).await.all("team_id"), [two.as_str()]);
    set(&one, json!([])).await;
    assert_eq!(acme.get(&mappings).await.all("team_id"), [two.as_str()], "only teams with mappings appear");
    assert_eq!(set(NOBODY, json!(["x"])).await.refusal(), ("data.0.team_id", "missing_reference", "body"));
    assert_eq!(set("x", json!(["x"])).await.refusal(), ("data.0.team_id", "is_uuid", "body"));
    acme.delete(&format!("{portal}/teams/{two}")).await;
    assert!(acme.get(&mappings).await.all("team_id").is_empty(), "they go with their team");
}
