//! What a team has besides its fields: roles, developers, and groups of an identity provider.
use std::time::Duration;

use portico_sandbox::Plant;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    world::{World, condition, is_current},
    world_team::role,
};

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_exchanged_and_taken_as_the_spec_says() {
    let (world, _) = World::with_docs("parts-roles").await;
    let product = world.product();
    world.team("core", "docs", json!({"roles": {"items": [role("API Viewer", &product)]}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), ["API Viewer"]);
    let given = world.only_team_in("docs")["roles"][0].clone();
    assert_eq!((&given["entity_id"], &given["entity_region"]), (&json!(product), &json!("eu")));
    assert_eq!(given["entity_type_name"], "Services", "the default");
    world.sandbox.reset_exchanges();
    world.spec("PortalTeam", "core", json!({"roles": {"items": [role("API Consumer", &product)]}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), ["API Consumer"]);
    let mut writes = world.remote_writes();
    writes.sort();
    assert_eq!(writes, ["assign-role-to-portal-teams", "remove-role-from-portal-team"]);
    world.spec("PortalTeam", "core", json!({"roles": {"items": []}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), [] as [&str; 0]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_role_stays_unless_the_list_is_exclusive() {
    let (world, portal) = World::with_docs("parts-roles-stranger").await;
    let product = world.product();
    world.team("core", "docs", json!({"roles": {"items": [role("API Viewer", &product)]}})).await;
    let id = world.synced("PortalTeam", "core").await["status"]["id"].as_str().unwrap().to_owned();
    let theirs = json!({
        "role_name": "API Consumer", "entity_id": product, "entity_type_name": "Services", "entity_region": "eu"
    });
    let path = format!("/v2/portals/{portal}/teams/{id}/assigned-roles");
    assert_eq!(world.by_hand(Method::POST, &path, Some(theirs)).await, 201);
    world.spec("PortalTeam", "core", json!({"description": "looked at again"})).await;
    world.synced("PortalTeam", "core").await;
    world.assert_silence(Duration::from_millis(1500)).await;
    assert_eq!(world.roles_in("docs"), ["API Consumer", "API Viewer"]);
    world.spec("PortalTeam", "core", json!({"roles": {"exclusive": true}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), ["API Viewer"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_taken_away_by_hand_is_given_back_and_an_event_says_so() {
    let (world, portal) = World::with_docs("parts-roles-drift").await;
    let product = world.product();
    world.team("core", "docs", json!({"roles": {"items": [role("API Viewer", &product)]}})).await;
    world.synced("PortalTeam", "core").await;
    let team = world.only_team_in("docs");
    let (id, assignment) = (team["id"].as_str().unwrap(), team["roles"][0]["id"].as_str().unwrap());
    let path = format!("/v2/portals/{portal}/teams/{id}/assigned-roles/{assignment}");
    assert!(world.by_hand(Method::DELETE, &path, None).await < 300);
    world.eventually("the role is given back", |w| w.roles_in("docs") == ["API Viewer"]).await;
    world.synced("PortalTeam", "core").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let events = world.events("core").await;
    let told = events.iter().any(|(reason, note)| reason == "DriftCorrected" && note.contains("roles"));
    assert!(told, "{events:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_role_name_is_answered_with_the_roles_that_exist() {
    let (world, _) = World::with_docs("parts-roles-unknown").await;
    let product = world.product();
    world.team("core", "docs", json!({"roles": {"items": [role("API Owner", &product)]}})).await;
    let message = world.unready("PortalTeam", "core", "InvalidSpec").await;
    assert!(message.contains("role_name"), "the field is named: {message}");
    assert!(message.contains("API Viewer") && message.contains("API Consumer"), "{message}");
    assert!(world.calls("list-portal-roles") >= 1, "the roles that exist are the API's to say");
    world.spec("PortalTeam", "core", json!({"roles": {"items": [role("API Viewer", &product)]}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), ["API Viewer"]);
    assert_eq!(world.calls("create-portal-team"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_on_a_product_that_does_not_exist_is_refused_in_the_apis_words_and_not_stalled_at_once() {
    let mut world = World::still("parts-roles-product").await;
    // Slow enough to see the state after the first refusal.
    (world.settings.backoff, world.settings.backoff_max) = (Duration::from_secs(5), Duration::from_secs(5));
    world.start();
    world.connection(json!({})).await;
    world.portal("docs", json!({})).await;
    world.synced("Portal", "docs").await;
    let missing = "00000000-1111-4222-8333-444444444444";
    world.team("core", "docs", json!({"roles": {"items": [role("API Viewer", missing)]}})).await;
    let message = world.unready("PortalTeam", "core", "InvalidSpec").await;
    assert!(message.contains("entity_id") && message.contains("is not an API product"), "{message}");
    let team = world.get("PortalTeam", "core").await.unwrap();
    assert_eq!(condition(&team, "Reconciling", "status"), "True");
    assert_eq!(condition(&team, "Stalled", "status"), "", "the product may still come");
    let product = world.product();
    world.spec("PortalTeam", "core", json!({"roles": {"items": [role("API Viewer", &product)]}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), ["API Viewer"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_needs_its_region_where_the_connection_has_a_url() {
    let (world, _) = World::with_docs("parts-roles-region").await;
    let product = world.product();
    let bare = json!({"roleName": "API Viewer", "entityId": product});
    world.team("core", "docs", json!({"roles": {"items": [bare]}})).await;
    let message = world.unready("PortalTeam", "core", "InvalidSpec").await;
    assert!(message.contains("entityRegion"), "{message}");
    assert_eq!(world.calls("assign-role-to-portal-teams"), 0);
    world.spec("PortalTeam", "core", json!({"roles": {"items": [role("API Viewer", &product)]}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.roles_in("docs"), ["API Viewer"]);
    assert_eq!(world.calls("create-portal-team"), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_signed_up_is_named_and_becomes_a_member_once_they_have() {
    let (world, portal) = World::with_docs("parts-members").await;
    world.sign_up(&portal, "bob@example.com");
    let members = json!({"items": ["ann@example.com", "bob@example.com"]});
    world.team("core", "docs", json!({"developers": members})).await;
    let team = world.synced("PortalTeam", "core").await;
    assert_eq!(condition(&team, "Bound", "status"), "False", "Ready does not wait for a person, Bound does");
    let message = condition(&team, "Bound", "message");
    assert!(message.contains("ann@example.com") && !message.contains("bob@example.com"), "{message}");
    assert_eq!(world.only_team_in("docs")["developers"], json!(["bob@example.com"]));
    let ann = world.sign_up(&portal, "ann@example.com");
    bound(&world, "True").await;
    assert_eq!(sorted(&world.only_team_in("docs")["developers"]), ["ann@example.com", "bob@example.com"]);
    // Someone at the console sees her, and may block her: the member stays a member.
    let path = format!("/v2/portals/{portal}/developers/{ann}");
    assert_eq!(world.by_hand(Method::GET, &format!("{path}/teams"), None).await, 200);
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(json!({"status": "revoked"}))).await, 200);
    world.assert_silence(Duration::from_millis(1500)).await;
    assert_eq!(sorted(&world.only_team_in("docs")["developers"]), ["ann@example.com", "bob@example.com"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_leave_with_the_spec_and_others_members_stay_unless_the_list_is_exclusive() {
    let (world, portal) = World::with_docs("parts-members-leave").await;
    for email in ["ann@example.com", "bob@example.com"] {
        world.sign_up(&portal, email);
    }
    let eve = world.sign_up(&portal, "eve@example.com");
    let members = json!({"items": ["ann@example.com", "bob@example.com"]});
    world.team("core", "docs", json!({"developers": members})).await;
    let id = world.synced("PortalTeam", "core").await["status"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v2/portals/{portal}/teams/{id}/developers");
    assert_eq!(world.by_hand(Method::POST, &path, Some(json!({"id": eve}))).await, 201);
    world.spec("PortalTeam", "core", json!({"developers": {"items": ["bob@example.com"]}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(sorted(&world.only_team_in("docs")["developers"]), ["bob@example.com", "eve@example.com"]);
    world.spec("PortalTeam", "core", json!({"developers": {"exclusive": true}})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(world.only_team_in("docs")["developers"], json!(["bob@example.com"]));
    assert_eq!(world.only("docs")["developers"].as_array().unwrap().len(), 3, "people stay developers of the portal");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_is_found_by_the_very_address_that_they_signed_up_with() {
    let (world, portal) = World::with_docs("parts-members-case").await;
    world.sign_up(&portal, "Ann.Lee@Example.com");
    world.team("core", "docs", json!({"developers": {"items": ["Ann.Lee@Example.com"]}})).await;
    bound(&world, "True").await;
    assert_eq!(world.only_team_in("docs")["developers"], json!(["Ann.Lee@Example.com"]));
    world.assert_silence(Duration::from_millis(1500)).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_wait_for_an_identity_provider_then_follow_the_spec_and_an_empty_list_clears_them() {
    let (world, portal) = World::with_docs("parts-groups").await;
    world.team("core", "docs", json!({"identityProviderGroups": ["engineers"]})).await;
    let team = world.synced("PortalTeam", "core").await;
    assert_eq!(condition(&team, "Bound", "status"), "False");
    let message = condition(&team, "Bound", "message");
    assert!(message.contains("identity provider"), "{message}");
    world.identity_provider_by_hand(&portal).await;
    bound(&world, "True").await;
    assert_eq!(groups(&world), ["engineers"]);
    world.sandbox.reset_exchanges();
    world.spec("PortalTeam", "core", json!({"identityProviderGroups": ["writers", "readers"]})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(groups(&world), ["readers", "writers"]);
    assert_eq!(world.remote_writes(), ["update-portal-team-group-mappings"]);
    world.spec("PortalTeam", "core", json!({"identityProviderGroups": []})).await;
    world.synced("PortalTeam", "core").await;
    assert_eq!(groups(&world), [] as [&str; 0]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_changed_by_hand_are_put_back_and_other_teams_keep_theirs() {
    let (world, portal) = World::with_docs("parts-groups-drift").await;
    world.identity_provider(&portal);
    world.team("core", "docs", json!({"identityProviderGroups": ["engineers"]})).await;
    let id = world.synced("PortalTeam", "core").await["status"]["id"].as_str().unwrap().to_owned();
    let body = json!({"name": "theirs"});
    let theirs = world.stranger_makes(Plant::Team { portal: portal.clone(), body });
    let change = json!({"data": [{"team_id": theirs, "groups": ["others"]}, {"team_id": id, "groups": ["others"]}]});
    let path = format!("/v2/portals/{portal}/identity-provider/team-group-mappings");
    assert_eq!(world.by_hand(Method::PATCH, &path, Some(change)).await, 200);
    let mappings = json!({ id: ["engineers"], theirs: ["others"] });
    world.eventually("our groups are put back", |w| w.only("docs")["group_mappings"] == mappings).await;
    world.assert_silence(Duration::from_millis(1500)).await;
    assert_eq!(world.only("docs")["group_mappings"], mappings);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_section_that_leaves_the_spec_belongs_to_the_api_and_stays_as_it_was() {
    let (world, portal) = World::with_docs("parts-unmanaged").await;
    let everything = world.everything(&portal);
    world.team("core", "docs", everything).await;
    world.synced("PortalTeam", "core").await;
    let (team, mappings) = (world.only_team_in("docs"), world.only("docs")["group_mappings"].clone());
    world.sandbox.reset_exchanges();
    world.spec("PortalTeam", "core", json!({"roles": null, "developers": null, "identityProviderGroups": null})).await;
    world.synced("PortalTeam", "core").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(world.remote_writes(), Vec::<String>::new());
    assert_eq!(world.only_team_in("docs"), team);
    assert_eq!(world.only("docs")["group_mappings"], mappings);
    assert_eq!(team["roles"].as_array().unwrap().len(), 2);
    let resource = world.get("PortalTeam", "core").await.unwrap();
    assert_eq!(condition(&resource, "Bound", "status"), "", "nobody is named");
    world.end().await;
}

/// Waits until the team's condition Bound is so.
async fn bound(world: &World, status: &str) {
    let is = |o: &Value| is_current(o) && condition(o, "Bound", "status") == status;
    world.until("PortalTeam", "core", &format!("got Bound={status}"), is).await;
}

/// The groups of the one team.
fn groups(world: &World) -> Vec<String> {
    let id = world.only_team_in("docs")["id"].as_str().unwrap().to_owned();
    sorted(&world.only("docs")["group_mappings"][id.as_str()])
}

fn sorted(list: &Value) -> Vec<String> {
    let mut list: Vec<String> = list.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect();
    list.sort();
    list
}
