//! Authorization servers.

use serde_json::{Value, json};

use crate::acme::{Acme, changed, without};

const SECRET: &str = "a-secret-of-at-least-thirty-two-characters";

#[tokio::test]
async fn a_server_gets_what_nobody_gave() {
    let acme = Acme::new().await;
    let server = acme.server("one").await;
    for (member, expected) in [
        ("id", json!("one")),
        ("name", json!("one")),
        ("tenant_id", json!("acme")),
        ("system", json!(false)),
        ("access_token_ttl", json!("1h0m0s")),
        ("authorization_code_ttl", json!("10m0s")),
        ("refresh_token_ttl", json!("720h0m0s")),
        ("grant_types", json!(["authorization_code", "implicit", "client_credentials", "refresh_token"])),
        ("issuer_url", json!("http://sandbox/acme/one")),
        ("authentications", json!({"methods": []})),
        ("enforce_pkce", json!(false)),
        ("logo_uri", json!("")),
        ("profiles", json!([])),
    ] {
        assert_eq!(server[member], expected, "{member}");
    }
    assert_eq!(server["secret"].as_str().unwrap().len(), 43);
    assert_eq!(server["jwks"]["keys"][0]["kty"], "RSA");
    assert!(server.get("key_type").is_none());
    assert_eq!(acme.get("/servers/one").await.body, server);
    let made = acme.made("/servers", json!({"key_type": "ecdsa", "access_token_ttl": "90m"})).await;
    assert_eq!(made["jwks"]["keys"][0]["kty"], "EC");
    assert_eq!(made["access_token_ttl"], "1h30m0s");
    assert!(!made["id"].as_str().unwrap().is_empty());
    let ids = ["admin", "developer", "system", "one", made["id"].as_str().unwrap()];
    assert_eq!(acme.get("/servers").await.all("servers", "id"), ids);
}

#[tokio::test]
async fn an_id_is_taken_once_in_a_tenant() {
    let acme = Acme::new().await;
    acme.server("one").await;
    assert_eq!(acme.post("/servers", json!({"id": "one"})).await.refusal().0, 409);
    assert_eq!(acme.post("/servers", json!({"id": "admin"})).await.refusal().0, 409);
    acme.client("one", "two").await;
    assert_eq!(acme.post("/servers", json!({"id": "two"})).await.refusal().0, 409, "its User Portal needs the id");
    acme.made("/servers", json!({"id": "ü/ä"})).await;
    assert_eq!(acme.get("/servers/%C3%BC%2F%C3%A4").await.body["id"], "ü/ä");
    assert_eq!(acme.get("/servers/two").await.refusal(), (404, "Authorization server not found"));
}

#[tokio::test]
async fn what_the_contract_does_not_take_is_refused_with_the_field() {
    let acme = Acme::new().await;
    for (body, field) in [
        (json!({"name": 5}), "name"),
        (json!({"access_token_ttl": "soon"}), "access_token_ttl"),
        (json!({"grant_types": ["magic"]}), "grant_types.0"),
        (json!({"secret": "short"}), "secret"),
        (json!({"key_type": "dsa"}), "key_type"),
        (json!({"user_policy_id": "nothing"}), "user_policy_id"),
        (json!({"jwks": {"keys": [{"kty": "RSA", "kid": "one", "use": "sig"}]}}), "jwks.keys.0.alg"),
        (json!({"authentications": {"methods": [{"id": "one", "name": "One"}]}}), "authentications.methods.0.method"),
        (json!([]), "body"),
    ] {
        assert_eq!(acme.post("/servers", body.clone()).await.fields(), [field], "{body}");
    }
    let unparsable = acme.call("POST", "/api/admin/acme/servers", Some(json!("text"))).await;
    assert_eq!(unparsable.refusal().0, 422);
    let own = json!({"id": "one", "user_policy_id": "block_one_user", "developer_policy_id": "block_admin_user"});
    assert_eq!(acme.made("/servers", own).await["user_policy_id"], "block_one_user");
}

#[tokio::test]
async fn a_put_replaces_the_whole_object() {
    let acme = Acme::new().await;
    let body = json!({
        "id": "one", "name": "One", "secret": SECRET, "rotated_secrets": ["old"], "logo_uri": "https://example.com/a",
        "enforce_pkce": true,
    });
    let server = acme.made("/servers", body).await;
    let echoed = acme.put("/servers/one", changed(&server, json!({"name": "First"}))).await;
    assert_eq!((echoed.status, &echoed.body), (200, &changed(&server, json!({"name": "First"}))));
    let cleared = acme.put("/servers/one", json!({"name": "Alone"})).await.body;
    for (member, expected) in [
        ("name", json!("Alone")),
        ("id", json!("one")),
        ("tenant_id", json!("acme")),
        ("secret", json!("")),
        ("rotated_secrets", json!([])),
        ("jwks", json!({"keys": []})),
        ("logo_uri", json!("")),
        ("enforce_pkce", json!(false)),
        ("access_token_ttl", json!("0s")),
        ("grant_types", json!([])),
        ("issuer_url", json!("http://sandbox/acme/one")),
    ] {
        assert_eq!(cleared[member], expected, "{member}");
    }
    let ignored = changed(&server, json!({"id": "two", "tenant_id": "other", "system": true, "nick": 1}));
    assert_eq!(acme.put("/servers/one", ignored).await.body, server);
    assert_eq!(acme.put("/servers/none", server).await.status, 404);
}

fn user(password: &str) -> Value {
    json!({"username": "ann", "password": password, "authentication_context": {"email": "ann@example.com"}})
}

fn method(password: &str) -> Value {
    json!({"id": "ours", "name": "Ours", "method": "static", "static": {"hint": true, "users": [user(password)]}})
}

#[tokio::test]
async fn authentications_come_with_the_server_and_are_replaced_alone() {
    let acme = Acme::new().await;
    let body = json!({"id": "one", "name": "One", "authentications": {"methods": [method("first password")]}});
    let server = acme.made("/servers", body).await;
    let shown = &server["authentications"]["methods"][0];
    assert_eq!(shown["static"]["users"][0], user("first password"));
    assert_eq!((&shown["disabled"], &shown["mappings"]), (&json!(false), &json!([])));
    let oidc = json!({
        "id": "google", "name": "Google", "method": "oidc",
        "oidc": {"client_id": "us", "client_secret": "their secret", "issuer_url": "https://idp.example.com"},
    });
    let both = json!({"methods": [method("second password"), oidc]});
    let replaced = acme.put("/servers/one/authentications", both).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    assert_eq!(replaced.body["methods"][1]["oidc"]["client_secret"], "their secret");
    let expected = changed(&server, json!({"authentications": replaced.body}));
    assert_eq!(acme.get("/servers/one").await.body, expected);
    assert_eq!(acme.put("/servers/one/authentications", json!({})).await.body, json!({"methods": []}));
    assert_eq!(acme.put("/servers/none/authentications", json!({})).await.status, 404);
    let without_them = without(&expected, "authentications");
    assert_eq!(acme.put("/servers/one", without_them).await.body["authentications"], json!({"methods": []}));
    let secrets = acme.sandbox.secrets();
    for secret in ["first password", "second password", "their secret"] {
        assert!(secrets.contains(&secret.to_owned()), "{secret}");
    }
}

#[tokio::test]
async fn an_authentication_needs_the_settings_of_its_method_and_an_id_of_its_own() {
    let acme = Acme::new().await;
    acme.server("one").await;
    let path = "/servers/one/authentications";
    let refused = acme.put(path, json!({"methods": [{"id": "o", "name": "O", "method": "oidc"}]})).await;
    assert_eq!(refused.fields(), ["authentications.methods.0.oidc"]);
    let refused = acme.put(path, json!({"methods": [method("p"), method("p")]})).await;
    assert_eq!(refused.fields(), ["authentications.methods.1.id"]);
    let refused = acme.put(path, json!({"methods": [{"id": "o", "name": "O", "method": "magic"}]})).await;
    assert_eq!(refused.fields(), ["methods.0.method"]);
}

#[tokio::test]
async fn a_new_server_owns_what_was_recorded() {
    let acme = Acme::new().await;
    acme.server("one").await;
    assert_eq!(acme.get("/servers/one/clients").await.all("clients", "client_name"), ["User Portal"]);
    let portal = acme.get("/clients/one").await.body;
    assert_eq!((&portal["system"], &portal["authorization_server_id"]), (&json!(true), &json!("one")));
    let state = acme.sandbox.state();
    let server = &state["tenants"]["acme"]["servers"][3];
    let count = |member: &str| server[member].as_array().unwrap().len();
    assert_eq!((count("claims"), count("services"), count("scopes"), count("policies")), (24, 3, 13, 11));
    assert_eq!(server["policies"][0]["id"], "block_one_api");
    let links = acme.get("/servers/one/dashboards").await;
    assert_eq!((links.status, &links.body["enabled"]), (200, &json!(true)));
    assert!(links.body["tenant_threat_url"].as_str().unwrap().starts_with("http://sandbox/"));
    assert_eq!(acme.get("/servers/none/dashboards").await.status, 404);
}

#[tokio::test]
async fn a_deleted_server_takes_its_clients_along() {
    let acme = Acme::new().await;
    acme.server("one").await;
    acme.server("two").await;
    acme.client("one", "gone").await;
    acme.client("two", "stays").await;
    assert_eq!(acme.delete("/servers/one").await.status, 204);
    for gone in ["/servers/one", "/clients/gone", "/clients/one", "/servers/one/clients"] {
        assert_eq!(acme.get(gone).await.status, 404, "{gone}");
    }
    assert_eq!(acme.get("/clients/stays").await.status, 200);
    assert_eq!(acme.delete("/servers/one").await.status, 404);
}

#[tokio::test]
async fn built_in_servers_stay_as_they_are() {
    let acme = Acme::new().await;
    for id in ["admin", "developer", "system"] {
        let path = format!("/servers/{id}");
        let server = acme.get(&path).await.body;
        assert_eq!(server["system"], true);
        assert_eq!(acme.put(&path, server).await.refusal().0, 400);
        assert_eq!(acme.put(&format!("{path}/authentications"), json!({})).await.refusal().0, 400);
        assert_eq!(acme.delete(&path).await.refusal().0, 400);
    }
}
