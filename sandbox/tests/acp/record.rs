//! The record of ACP's exchanges: complete, and without secrets.

use serde_json::{Value, json};

use crate::acme::{Acme, changed};

#[tokio::test]
async fn no_secret_gets_into_the_record() {
    let acme = Acme::new().await;
    let user = json!({"username": "ann", "password": "pw"});
    let method = json!({"id": "s", "name": "S", "method": "static", "static": {"users": [user]}});
    let server = acme.made("/servers", json!({"id": "one", "authentications": {"methods": [method]}})).await;
    acme.put("/servers/one", changed(&server, json!({"rotated_secrets": ["a rotated secret"]}))).await;
    let client = acme.client("one", "app").await;
    let secret = client["client_secret"].as_str().unwrap();
    acme.put("/clients/app", changed(&client, json!({"description": format!("its secret is {secret}")}))).await;
    acme.in_body("/acme/admin/oauth2/token", &acme.client_id, &acme.client_secret).await;
    acme.in_body("/acme/admin/oauth2/token", &acme.client_id, "never%20accepted").await;
    acme.post("/clients", json!({"client_secret": "never accepted"})).await;
    acme.get("/servers/one").await;

    let exchanges = acme.sandbox.exchanges();
    let text = serde_json::to_string(&exchanges).unwrap();
    let known = acme.sandbox.secrets();
    for secret in known.iter().filter(|secret| secret.len() > 2) {
        assert!(!text.contains(secret.as_str()), "{secret}");
    }
    assert!(!text.contains("never accepted") && !text.contains("never%20accepted"));
    for private in ["d", "p", "q", "dp", "dq", "qi"] {
        let value = server["jwks"]["keys"][0][private].as_str().unwrap().to_owned();
        assert!(known.contains(&value), "{private}");
    }
    for member in ["secret", "client_secret", "client_hashed_secret"] {
        let owner = if member == "secret" { &server } else { &client };
        assert!(known.contains(&owner[member].as_str().unwrap().to_owned()), "{member}");
    }
    assert!(known.contains(&"pw".to_owned()) && known.contains(&"a rotated secret".to_owned()));
    let shown = serde_json::to_value(&exchanges[1]).unwrap();
    let users = &shown["requestBody"]["authentications"]["methods"][0]["static"]["users"];
    assert_eq!(users[0], json!({"username": "ann", "password": "**"}));
    assert_eq!(shown["responseBody"]["jwks"]["keys"][0]["n"], server["jwks"]["keys"][0]["n"], "the public part stays");
}

#[tokio::test]
async fn an_exchange_says_what_was_asked_and_answered() {
    let acme = Acme::new().await;
    acme.in_body("/acme/admin/oauth2/token", "app", "some secret").await;
    acme.get("/servers/none").await;
    acme.get("/nothing").await;
    acme.call("POST", "/acme/admin/oauth2", None).await;
    let record = serde_json::to_value(acme.sandbox.exchanges()).unwrap();
    let told = |index: usize| -> (Value, Value, Value) {
        let told = &record[index];
        (told["api"].clone(), told["operation"].clone(), told["status"].clone())
    };
    assert_eq!(told(0), (json!("acp"), json!("token"), json!(200)));
    assert_eq!(record[0]["responseBody"]["access_token"], "*".repeat(64));
    let form = json!({"grant_type": "client_credentials", "client_id": "app", "client_secret": "***********"});
    assert_eq!((told(1).2, &record[1]["requestBody"]), (json!(401), &form));
    assert_eq!(told(2), (json!("acp"), json!("getAuthorizationServer"), json!(404)));
    assert_eq!(record[2]["url"], "http://sandbox/api/admin/acme/servers/none");
    assert_eq!(told(3), (json!("acp"), Value::Null, json!(404)));
    assert_eq!(told(4), (json!("konnect"), Value::Null, json!(404)), "nobody's path");
}

#[tokio::test]
async fn coverage_names_the_operations_of_both_contracts() {
    let acme = Acme::new().await;
    acme.server("one").await;
    acme.post("/servers", json!({"id": "one"})).await;
    let coverage = acme.sandbox.coverage();
    let operations = coverage.as_object().unwrap();
    assert_eq!(operations.len(), 148);
    let statuses = json!({"201": 1, "409": 1});
    let expected = json!({"resource": "AuthorizationServer", "implemented": true, "calls": 2, "statuses": statuses});
    assert_eq!(coverage["createAuthorizationServer"], expected);
    let implemented = operations.values().filter(|operation| operation["implemented"] == true).count();
    assert_eq!(implemented, 48 + 22);
    assert_eq!(coverage["createScope"]["implemented"], false);
}
