//! Consents and consent actions.

use serde_json::{Value, json};

use crate::acme::{Acme, changed, without};

#[tokio::test]
async fn a_consent_grows_a_version_with_every_put() {
    let acme = Acme::new().await;
    let consent = acme.consent("eula").await;
    for (member, expected) in [
        ("version", json!(1)),
        ("tenant_id", json!("acme")),
        ("can_be_withdrawn", json!(false)),
        ("description", json!("")),
        ("internal_services", json!([])),
    ] {
        assert_eq!(consent[member], expected, "{member}");
    }
    let same = acme.put("/consents/eula", consent.clone()).await;
    assert_eq!((same.status, &same.body), (201, &changed(&consent, json!({"version": 2}))));
    let later = acme.put("/consents/eula", without(&consent, "valid_from")).await.body;
    assert_eq!(later["version"], 3);
    assert_ne!(later["valid_from"], consent["valid_from"], "from now on, where the body says nothing");
    let chosen = changed(&consent, json!({"valid_from": "2020-01-02T03:04:05.5+01:00", "version": 77}));
    let chosen = acme.put("/consents/eula", chosen).await.body;
    assert_eq!((&chosen["valid_from"], &chosen["version"]), (&json!("2020-01-02T02:04:05.5Z"), &json!(4)));
    assert_eq!(acme.get("/consents/eula").await.body, chosen);
    let bare = json!({"id": "eula", "name": "EULA", "update_existing_grants": "explicitAll"});
    assert_eq!(acme.put("/consents/eula", bare).await.body["description"], "");
    assert_eq!(acme.get("/consents").await.all("consents", "id"), ["eula"]);
}

#[tokio::test]
async fn a_consent_is_checked() {
    let acme = Acme::new().await;
    assert_eq!(acme.post("/consents", json!({})).await.fields(), ["id", "name", "update_existing_grants"]);
    assert_eq!(acme.call("POST", "/api/admin/acme/consents", None).await.fields(), ["body"]);
    let good = json!({"id": "eula", "name": "EULA", "update_existing_grants": "implicitAll"});
    let purposes = json!([{"name": "one"}, {"name": "two"}]);
    for (change, field) in [
        (json!({"update_existing_grants": "all"}), "update_existing_grants"),
        (json!({"name": ""}), "name"),
        (json!({"valid_from": "soon"}), "valid_from"),
        (json!({"valid_from": "2999-01-01T00:00:00Z"}), "valid_from"),
        (json!({"internal_services": [{"name": "s", "purposes": purposes}]}), "internal_services.0.purposes"),
        (json!({"pii_categories": [{"name": 1}]}), "pii_categories.0.name"),
    ] {
        assert_eq!(acme.post("/consents", changed(&good, change)).await.fields(), [field]);
    }
    acme.made("/consents", good.clone()).await;
    assert_eq!(acme.post("/consents", good.clone()).await.refusal().0, 409);
    assert_eq!(acme.put("/consents/none", good).await.refusal(), (404, "Consent not found"));
    let unnamed = json!({"id": "eula", "update_existing_grants": "implicitAll"});
    assert_eq!(acme.put("/consents/eula", unnamed).await.fields(), ["name"]);
    assert_eq!(acme.get("/consents/eula").await.body["version"], 1, "a refused PUT makes no version");
}

fn action(consents: &Value) -> Value {
    json!({"id": "signup", "name": "Sign-up", "consents": consents})
}

#[tokio::test]
async fn an_action_shows_its_consents_whole_and_the_list_does_not() {
    let acme = Acme::new().await;
    let eula = acme.consent("eula").await;
    acme.consent("news").await;
    let both = json!([{"id": "eula", "required": true}, {"id": "news", "required": false}]);
    let made = acme.made("/actions", action(&both)).await;
    assert_eq!(made["consents"][0], changed(&eula, json!({"required": true})));
    assert_eq!((&made["description"], &made["tenant_id"]), (&json!(""), &json!("acme")));
    assert_eq!(acme.get("/actions/signup").await.body, made);
    let expected = json!({"id": "signup", "name": "Sign-up", "description": "", "tenant_id": "acme"});
    assert_eq!(acme.get("/actions").await.body, json!({"consent_actions": [expected]}));
    let echoed = acme.put("/actions/signup", made.clone()).await;
    assert_eq!((echoed.status, &echoed.body), (201, &made));
    assert_eq!(acme.get("/consents/eula").await.body["version"], 1, "what is inlined is not written");
    let none = acme.put("/actions/signup", json!({"id": "signup", "name": "Sign-up"})).await;
    assert_eq!(none.body["consents"], json!([]));
}

#[tokio::test]
async fn an_action_is_checked_and_deleted() {
    let acme = Acme::new().await;
    acme.consent("eula").await;
    assert_eq!(acme.post("/actions", json!({})).await.fields(), ["id", "name"]);
    let vague = action(&json!([{"id": "eula"}]));
    assert_eq!(acme.post("/actions", vague).await.fields(), ["consents.0.required"]);
    let missing = action(&json!([{"id": "none", "required": true}]));
    assert_eq!(acme.post("/actions", missing).await.refusal(), (404, "consent none not found"));
    acme.made("/actions", action(&json!([]))).await;
    assert_eq!(acme.post("/actions", action(&json!([]))).await.refusal().0, 409);
    assert_eq!(acme.put("/actions/none", action(&json!([]))).await.refusal(), (404, "Consent action not found"));
    assert_eq!(acme.delete("/actions/signup").await.status, 204);
    assert_eq!(acme.delete("/actions/signup").await.status, 404);
    assert_eq!(acme.get("/actions/signup").await.status, 404);
}

#[tokio::test]
async fn a_deleted_consent_drops_out_of_its_actions() {
    let acme = Acme::new().await;
    acme.consent("eula").await;
    acme.consent("news").await;
    let both = json!([{"id": "eula", "required": true}, {"id": "news", "required": false}]);
    acme.made("/actions", action(&both)).await;
    assert_eq!(acme.delete("/consents/eula").await.status, 204);
    assert_eq!(acme.get("/actions/signup").await.body["consents"].as_array().unwrap().len(), 1);
    acme.consent("eula").await;
    assert_eq!(acme.get("/actions/signup").await.body["consents"].as_array().unwrap().len(), 1);
    assert_eq!(acme.delete("/consents/none").await.refusal(), (404, "Consent not found"));
}
