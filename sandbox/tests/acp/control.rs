//! `/_sandbox/` for tenants of ACP.

use serde_json::{Value, json};

use crate::acme::Acme;

impl Acme {
    async fn control(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let answer = self.call(method, &format!("/_sandbox{path}"), body).await;
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn tenants_are_made_with_credentials() {
    let acme = Acme::new().await;
    let (status, made) = acme.control("POST", "/tenants", Some(json!({"name": "other"}))).await;
    assert_eq!((status, &made["name"]), (201, &json!("other")));
    let (id, secret) = (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    assert_eq!(acme.basic("/other/admin/oauth2/token", id, secret).await.status, 200);
    assert!(acme.sandbox.secrets().contains(&secret.to_owned()));
    let chosen = json!({"name": "other", "client_id": "mine", "client_secret": "my secret"});
    assert_eq!(acme.control("POST", "/tenants", Some(chosen.clone())).await, (201, chosen));
    assert_eq!(acme.basic("/other/admin/oauth2/token", "mine", "my secret").await.status, 200);
    let (_, tokens) = acme.control("GET", "/tenants/other/tokens", None).await;
    assert_eq!(tokens.as_array().unwrap().len(), 2);
    assert_eq!(acme.control("DELETE", &format!("/tokens/{}", acme.token), None).await.0, 204);
    assert_eq!(acme.get("/servers").await.status, 401);
}

#[tokio::test]
async fn what_strangers_make_can_be_planted() {
    let acme = Acme::new().await;
    let planted = async |kind: &str, body: Value| {
        let (status, made) = acme.control("POST", &format!("/tenants/acme/{kind}"), Some(body)).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(planted("servers", json!({"id": "one", "name": "One"})).await, "one");
    let client = planted("clients", json!({"authorization_server_id": "one"})).await;
    let consent = json!({"id": "eula", "name": "EULA", "update_existing_grants": "explicitAll"});
    planted("consents", consent).await;
    let action = json!({"id": "signup", "name": "S", "consents": [{"id": "eula", "required": true}]});
    assert_eq!(planted("consent-actions", action).await, "signup");
    let (_, state) = acme.control("GET", "/state", None).await;
    assert_eq!(state, acme.sandbox.state());
    assert_eq!(state["organizations"], json!({}));
    let tenant = &state["tenants"]["acme"];
    let ids = |list: &str, member: &str| -> Vec<String> {
        let items = tenant[list].as_array().unwrap().iter();
        items.map(|item| item[member].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("servers", "id"), ["admin", "developer", "system", "one"]);
    assert_eq!(ids("clients", "client_id"), [acme.client_id.as_str(), "one", client.as_str()]);
    assert_eq!(ids("consents", "id"), ["eula"]);
    assert_eq!(tenant["consent_actions"][0]["consents"][0]["name"], "EULA");
    assert_eq!(acme.get(&format!("/clients/{client}")).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_planted_is_refused() {
    let acme = Acme::new().await;
    let plant = async |path: &str, body: Value| acme.control("POST", path, Some(body)).await.0;
    assert_eq!(plant("/tenants/acme/servers", json!({"nick": 1})).await, 400);
    assert_eq!(plant("/tenants/nobody/servers", json!({"id": "one"})).await, 404);
    assert_eq!(plant("/tenants/acme/clients", json!({"authorization_server_id": "none"})).await, 404);
    assert_eq!(plant("/tenants/acme/servers", json!({"id": "one"})).await, 201);
    assert_eq!(plant("/tenants/acme/servers", json!({"id": "one"})).await, 409);
}
