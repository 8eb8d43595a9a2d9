//! OAuth clients.

use portico_sandbox::AcpPlant;
use serde_json::json;

use crate::acme::{Acme, changed, without};

#[tokio::test]
async fn a_client_gets_what_nobody_gave() {
    let acme = Acme::new().await;
    acme.server("one").await;
    let client = acme.made("/clients", json!({"authorization_server_id": "one"})).await;
    let id = client["client_id"].as_str().unwrap();
    assert_eq!((id.len(), client["client_secret"].as_str().unwrap().len()), (20, 43));
    for (member, expected) in [
        ("audience", json!([id])),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("token_endpoint_signing_alg", json!("none")),
        ("request_object_signing_alg", json!("none")),
        ("userinfo_signed_response_alg", json!("none")),
        ("client_secret_expires_at", json!(0)),
        ("tenant_id", json!("acme")),
        ("privacy", json!({})),
        ("jwks", json!({"keys": []})),
        ("scopes", json!([])),
        ("scope", json!("")),
        ("client_name", json!("")),
        ("trusted", json!(false)),
        ("developer_id", json!("")),
    ] {
        assert_eq!(client[member], expected, "{member}");
    }
    assert_eq!(acme.get(&format!("/clients/{id}")).await.body, client);
    let body = json!({"authorization_server_id": "one", "grant_types": ["client_credentials"]});
    assert_eq!(acme.made("/clients", body).await["response_types"], json!([]), "only for the default grant");
    assert_eq!(acme.get("/servers/one/clients").await.body["clients"].as_array().unwrap().len(), 3);
    assert_eq!(acme.get("/servers/none/clients").await.refusal(), (404, "Authorization server not found"));
}

#[tokio::test]
async fn id_and_secret_can_be_chosen_and_the_id_only_once() {
    let acme = Acme::new().await;
    acme.server("one").await;
    acme.server("two").await;
    let body = json!({"client_id": "app", "client_secret": "our own secret", "authorization_server_id": "one"});
    assert_eq!(acme.made("/clients", body.clone()).await["client_secret"], "our own secret");
    assert_eq!(acme.post("/clients", body).await.refusal().0, 409);
    let other = json!({"client_id": "app", "authorization_server_id": "two"});
    assert_eq!(acme.post("/clients", other).await.refusal().0, 409, "ids are unique in the tenant");
    let portal = json!({"client_id": "two", "authorization_server_id": "one"});
    assert_eq!(acme.post("/clients", portal).await.refusal().0, 409, "the id of a User Portal");
    let _ = acme.sandbox.tenant("other");
    let body = json!({"client_id": "app", "authorization_server_id": "admin"});
    assert_eq!(acme.sandbox.plant_acp("other", AcpPlant::Client(body)).unwrap(), "app");
}

#[tokio::test]
async fn what_the_contract_does_not_take_is_refused_with_the_field() {
    let acme = Acme::new().await;
    acme.server("one").await;
    assert_eq!(acme.post("/clients", json!({"client_id": "app"})).await.fields(), ["authorization_server_id"]);
    let nowhere = acme.post("/clients", json!({"authorization_server_id": "none"})).await;
    assert_eq!(nowhere.refusal(), (404, "Authorization server not found"));
    for (member, value, field) in [
        ("client_name", json!(1), "client_name"),
        ("redirect_uris", json!("https://example.com"), "redirect_uris"),
        ("grant_types", json!(["magic"]), "grant_types.0"),
        ("response_types", json!(["code id_token"]), "response_types.0"),
        ("token_endpoint_auth_method", json!("magic"), "token_endpoint_auth_method"),
        ("scopes", json!(["nothing"]), "scopes"),
        ("trusted", json!("yes"), "trusted"),
    ] {
        let mut body = json!({"authorization_server_id": "one"});
        body[member] = value;
        assert_eq!(acme.post("/clients", body).await.fields(), [field]);
    }
    let body = json!({"authorization_server_id": "one", "nick": 1, "privacy": {"nick": 1}, "client_name": null});
    let client = acme.made("/clients", body).await;
    assert!(client.get("nick").is_none() && client["privacy"].get("nick").is_none(), "unknown keys are ignored");
}

#[tokio::test]
async fn scopes_are_kept_sorted_and_follow_the_text_only_where_they_are_absent() {
    let acme = Acme::new().await;
    acme.server("one").await;
    let body = json!({"client_id": "app", "authorization_server_id": "one", "scopes": ["openid", "email", "openid"]});
    let client = acme.made("/clients", body).await;
    assert_eq!((&client["scopes"], &client["scope"]), (&json!(["email", "openid"]), &json!("email openid")));
    let fewer = acme.put("/clients/app", changed(&client, json!({"scopes": ["openid"]}))).await.body;
    assert_eq!((&fewer["scopes"], &fewer["scope"]), (&json!(["openid"]), &json!("openid")));
    let text = acme.put("/clients/app", changed(&fewer, json!({"scopes": null, "scope": "profile,email"}))).await.body;
    assert_eq!(text["scopes"], json!(["email", "profile"]));
    let none = acme.put("/clients/app", changed(&without(&text, "scope"), json!({"scopes": []}))).await.body;
    assert_eq!((&none["scopes"], &none["scope"]), (&json!([]), &json!("")));
}

#[tokio::test]
async fn a_put_replaces_the_whole_object() {
    let acme = Acme::new().await;
    acme.server("one").await;
    acme.server("two").await;
    let client = acme.client("one", "app").await;
    let named = changed(&client, json!({"client_name": "App", "redirect_uris": ["https://example.com/cb"]}));
    let echoed = acme.put("/clients/app", named.clone()).await;
    assert_eq!((echoed.status, &echoed.body), (200, &named));
    let rotated = acme.put("/clients/app", changed(&named, json!({"client_secret": "another secret"}))).await.body;
    assert_eq!(rotated["client_secret"], "another secret");
    assert_ne!(rotated["client_hashed_secret"], named["client_hashed_secret"]);
    let cleared = acme.put("/clients/app", json!({"authorization_server_id": "one"})).await.body;
    for (member, expected) in [
        ("client_id", json!("app")),
        ("client_id_issued_at", client["client_id_issued_at"].clone()),
        ("client_name", json!("")),
        ("client_secret", json!("")),
        ("redirect_uris", json!([])),
        ("grant_types", json!([])),
        ("audience", json!([])),
        ("token_endpoint_auth_method", json!("")),
    ] {
        assert_eq!(cleared[member], expected, "{member}");
    }
    let moved = acme.put("/clients/app", changed(&named, json!({"authorization_server_id": "two"}))).await;
    assert_eq!(moved.fields(), ["authorization_server_id"]);
    assert_eq!(acme.put("/clients/none", named.clone()).await.refusal(), (404, "Client not found"));
    let ignored = changed(&named, json!({"tenant_id": "other", "client_hashed_secret": "mine", "developer_id": "me"}));
    let kept = acme.put("/clients/app", ignored).await.body;
    assert_eq!((&kept["tenant_id"], &kept["developer_id"]), (&json!("acme"), &json!("")));
    assert_ne!(kept["client_hashed_secret"], "mine");
}

#[tokio::test]
async fn a_client_that_is_deleted_is_gone() {
    let acme = Acme::new().await;
    acme.server("one").await;
    acme.client("one", "app").await;
    assert_eq!(acme.delete("/clients/app").await.status, 204);
    assert_eq!(acme.delete("/clients/app").await.refusal(), (404, "Client not found"));
    assert_eq!(acme.get("/servers/one/clients").await.all("clients", "client_id"), ["one"]);
}

#[tokio::test]
async fn built_in_clients_stay_as_they_are() {
    let acme = Acme::new().await;
    acme.server("one").await;
    for id in ["one", acme.client_id.as_str()] {
        let path = format!("/clients/{id}");
        let client = acme.get(&path).await.body;
        assert_eq!(client["system"], true);
        assert_eq!(acme.put(&path, client).await.refusal().0, 400);
        assert_eq!(acme.delete(&path).await.refusal().0, 400);
    }
}

#[tokio::test]
async fn nobody_sees_the_secret_of_a_developers_client() {
    let acme = Acme::new().await;
    acme.server("one").await;
    let secret = "only the developer knows";
    let body = json!({
        "client_id": "theirs", "authorization_server_id": "one", "developer_id": "ann", "client_secret": secret,
        "grant_types": ["client_credentials"],
    });
    acme.sandbox.plant_acp("acme", AcpPlant::Client(body)).unwrap();
    let client = acme.get("/clients/theirs").await.body;
    assert_eq!((&client["developer_id"], &client["client_secret"]), (&json!("ann"), &json!("")));
    let listed = acme.get("/servers/one/clients").await;
    assert_eq!(listed.all("clients", "client_secret")[1], "");
    let trusted = acme.put("/clients/theirs", changed(&client, json!({"trusted": true}))).await;
    assert_eq!((trusted.status, &trusted.body["trusted"]), (200, &json!(true)));
    let renamed = acme.put("/clients/theirs", changed(&trusted.body, json!({"client_name": "Ours"}))).await;
    assert_eq!(renamed.refusal().0, 400);
    assert_eq!(acme.basic("/acme/one/oauth2/token", "theirs", secret).await.status, 200, "the secret was kept");
}
