//! Versions of API products in a portal.

use portico_sandbox::{Plant, Switches};
use serde_json::{Value, json};

use crate::client::{Acme, id};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// An organization with a portal, and a version of an API product to show there.
struct Shop {
    acme: Acme,
    portal: String,
    product: String,
    version: String,
}

impl Shop {
    async fn new() -> Self {
        Self::with(Switches::default()).await
    }

    async fn with(switches: Switches) -> Self {
        let acme = Acme::with(switches);
        let portal = acme.portal("docs").await;
        let product = acme.sandbox.plant("acme", Plant::ApiProduct { name: "orders".to_owned() }).unwrap();
        let shop = Self { acme, portal, product, version: String::new() };
        Self { version: shop.another(), ..shop }
    }

    /// One more version of the API product.
    fn another(&self) -> String {
        let (product, name) = (self.product.clone(), "v1".to_owned());
        self.acme.sandbox.plant("acme", Plant::ApiProductVersion { id: None, product, name }).unwrap()
    }

    fn strategy(&self, name: &str, credential_type: &str) -> String {
        let (name, credential_type) = (name.to_owned(), credential_type.to_owned());
        self.acme.sandbox.plant("acme", Plant::AuthStrategy { id: None, name, credential_type }).unwrap()
    }

    /// The path of all product versions in the portal.
    fn all(&self) -> String {
        format!("{}/product-versions", self.portal)
    }

    /// The path of the product version.
    fn one(&self) -> String {
        format!("{}/{}", self.all(), self.version)
    }

    fn mails(&self) -> Vec<Value> {
        self.acme.sandbox.state()["organizations"]["acme"]["mails"].as_array().unwrap().clone()
    }
}

/// The body of a PUT.
fn whole() -> Value {
    json!({
        "publish_status": "published",
        "auth_strategy_ids": [],
        "application_registration_enabled": false,
        "auto_approve_registration": false,
        "deprecated": false,
    })
}

/// The body of a POST.
fn with_id(version: &str) -> Value {
    let mut body = whole();
    body["product_version_id"] = json!(version);
    body
}

#[tokio::test]
async fn a_put_makes_and_replaces() {
    let shop = Shop::new().await;
    assert_eq!(shop.acme.get(&shop.one()).await.status, 404);
    let made = shop.acme.put(&shop.one(), whole()).await;
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.body["product_version_id"], json!(shop.version));
    assert_ne!(made.id(), shop.version, "it has an id of its own, which no path has");
    assert_eq!(made.body["auth_strategies"], json!([]));
    assert!(made.body.get("auth_strategy_ids").is_none());
    let mut body = whole();
    body["deprecated"] = json!(true);
    let replaced = shop.acme.put(&shop.one(), body).await.body;
    assert_eq!((&replaced["id"], &replaced["created_at"]), (&made.body["id"], &made.body["created_at"]));
    assert_eq!(replaced["deprecated"], true);
    assert_eq!(shop.acme.get(&shop.one()).await.body, replaced);
    assert_eq!(shop.acme.get(&shop.all()).await.body["data"], json!([replaced]));
    assert_eq!(shop.acme.get(&format!("{}/{}", shop.all(), made.id())).await.status, 404);
    assert_eq!(shop.acme.delete(&shop.one()).await.status, 204);
    assert_eq!(shop.acme.delete(&shop.one()).await.status, 404);
}

#[tokio::test]
async fn a_put_wants_all_and_a_patch_what_it_changes() {
    let shop = Shop::new().await;
    for field in whole().as_object().unwrap().keys() {
        let mut body = whole();
        body.as_object_mut().unwrap().remove(field);
        assert_eq!(shop.acme.put(&shop.one(), body).await.refusal(), (field.as_str(), "required", "body"));
    }
    let refused = shop.acme.put(&shop.one(), with_id(&shop.version)).await;
    assert_eq!(refused.refusal(), ("product_version_id", "unknown_property", "body"));
    assert_eq!(shop.acme.patch(&shop.one(), json!({"deprecated": true})).await.status, 404);
    shop.acme.put(&shop.one(), whole()).await;
    let changed = shop.acme.patch(&shop.one(), json!({"deprecated": true})).await;
    assert_eq!((changed.status, &changed.body["deprecated"]), (200, &json!(true)));
    assert_eq!(changed.body["publish_status"], "published");
}

#[tokio::test]
async fn a_post_makes_one_and_no_second() {
    for (status, switches) in
        [(409, Switches::default()), (400, Switches { duplicate_product_version: 400, ..Switches::default() })]
    {
        let shop = Shop::with(switches).await;
        assert_eq!(shop.acme.post(&shop.all(), with_id(&shop.version)).await.status, 201);
        assert_eq!(shop.acme.post(&shop.all(), with_id(&shop.version)).await.status, status);
        assert_eq!(shop.acme.put(&shop.one(), whole()).await.status, 200);
    }
}

#[tokio::test]
async fn strategies_are_written_as_ids_and_read_as_they_are() {
    let shop = Shop::new().await;
    let (key, oauth) = (shop.strategy("key", "key_auth"), shop.strategy("oauth", "client_credentials"));
    let set = async |ids: &[&str]| shop.acme.put(&shop.one(), whole_with(ids)).await;
    let made = set(&[&key.to_uppercase()]).await;
    let shown = json!([{"id": key, "name": "key", "credential_type": "key_auth", "key_names": ["apikey"]}]);
    assert_eq!(made.body["auth_strategies"], shown);
    assert_eq!(set(&[&oauth]).await.body["auth_strategies"][0]["auth_methods"], json!(["bearer"]));
    let found = async |filter: &str| shop.acme.get(&format!("{}?filter[auth_strategy_ids]{filter}", shop.all())).await;
    assert_eq!(found(&format!("={oauth}")).await.all("product_version_id"), [shop.version.as_str()]);
    assert!(found(&format!("[neq]={oauth}")).await.all("product_version_id").is_empty());
    assert!(found(&format!("[oeq]={key},{NOBODY}")).await.all("product_version_id").is_empty());
    assert_eq!(set(&[&key, &oauth]).await.refusal(), ("auth_strategy_ids", "max_items", "body"));
    assert_eq!(set(&["key"]).await.refusal(), ("auth_strategy_ids.0", "is_uuid", "body"));
    assert_eq!(set(&[NOBODY]).await.refusal(), ("auth_strategy_ids.0", "missing_reference", "body"));
    let cleared = shop.acme.patch(&shop.one(), json!({"auth_strategy_ids": []})).await;
    assert_eq!(cleared.body["auth_strategies"], json!([]));
    // The one that every organization has is among those that may be named.
    let default = shop.acme.get(&shop.portal).await.body["default_application_auth_strategy_id"].clone();
    assert_eq!(set(&[default.as_str().unwrap()]).await.body["auth_strategies"][0]["id"], default);

    let shop = Shop::with(Switches { check_auth_strategies: false, ..Switches::default() }).await;
    let made = shop.acme.put(&shop.one(), whole_with(&[NOBODY])).await;
    assert_eq!(made.body["auth_strategies"][0]["id"], NOBODY);
}

fn whole_with(strategies: &[&str]) -> Value {
    let mut body = whole();
    body["auth_strategy_ids"] = json!(strategies);
    body
}

#[tokio::test]
async fn the_version_must_be_one_of_an_api_product() {
    for missing in [Some(404), Some(400), None] {
        let shop = Shop::with(Switches { missing_product_version: missing, ..Switches::default() }).await;
        let answer = shop.acme.put(&format!("{}/{NOBODY}", shop.all()), whole()).await;
        assert_eq!(answer.status, missing.unwrap_or(200));
        if missing == Some(400) {
            assert_eq!(answer.refusal(), ("product_version_id", "missing_reference", "-"));
        }
        let refused = shop.acme.put(&format!("/v2/portals/{NOBODY}/product-versions/{NOBODY}"), whole()).await;
        assert_eq!((refused.status, &refused.body["detail"]), (404, &json!("Portal not found")));
        let malformed = shop.acme.put(&format!("{}/v1", shop.all()), whole()).await;
        assert_eq!(malformed.status, 404);
    }
}

#[tokio::test]
async fn its_api_product_may_have_to_be_published_first() {
    let shop = Shop::with(Switches { version_needs_product: true, ..Switches::default() }).await;
    let refused = shop.acme.put(&shop.one(), whole()).await;
    assert_eq!(refused.refusal(), ("product_version_id", "missing_reference", "-"));
    let product = &shop.product;
    let body = json!({"api_products": {product: {"publish_status": "published"}}});
    assert_eq!(shop.acme.post(&format!("{}/publish", shop.portal), body).await.status, 204);
    assert_eq!(shop.acme.put(&shop.one(), whole()).await.status, 200);
    let products = format!("{}/products", shop.portal);
    assert_eq!(shop.acme.get(&products).await.body["data"][0]["version_count"], 1);
    shop.acme.patch(&shop.one(), json!({"publish_status": "unpublished"})).await;
    assert_eq!(shop.acme.get(&products).await.body["data"][0]["version_count"], 0);
}

#[tokio::test]
async fn every_notification_is_a_mail() {
    let shop = Shop::new().await;
    shop.acme.developer(&shop.portal, "ann@example.com");
    let (portal, email, status) = (id(&shop.portal), "bob@example.com".to_owned(), "pending".to_owned());
    shop.acme.sandbox.plant("acme", Plant::Developer { portal, email, status }).unwrap();
    shop.acme.put(&shop.one(), whole()).await;
    shop.acme.patch(&shop.one(), json!({"deprecated": true, "notify_developers": false})).await;
    assert!(shop.mails().is_empty());
    let snapshot = shop.acme.sandbox.snapshot();
    let mut body = whole();
    body["notify_developers"] = json!(true);
    let notified = shop.acme.put(&shop.one(), body).await;
    assert!(notified.body.get("notify_developers").is_none());
    shop.acme.patch(&shop.one(), json!({"notify_developers": true})).await;
    let mails = shop.mails();
    assert_eq!(mails.len(), 2, "also where nothing changes");
    assert_eq!(mails[0]["to"], json!(["ann@example.com"]), "only approved developers");
    assert_eq!(mails[0]["product_version_id"], json!(shop.version));
    let refused = json!({"notify_developers": true, "deprecated": "yes"});
    assert_eq!(shop.acme.patch(&shop.one(), refused).await.status, 400);
    shop.acme.sandbox.restore(&snapshot);
    assert_eq!(shop.acme.delete(&format!("{}?force=true", shop.portal)).await.status, 204);
    assert_eq!(shop.mails(), mails, "nothing takes a mail back");
}

#[tokio::test]
async fn they_are_listed_by_page_and_time() {
    let shop = Shop::new().await;
    let other = shop.another();
    for version in [&shop.version, &other] {
        shop.acme.put(&format!("{}/{version}", shop.all()), whole()).await;
    }
    shop.acme.patch(&shop.one(), json!({"publish_status": "unpublished"})).await;
    let list = async |query: &str| shop.acme.get(&format!("{}?{query}", shop.all())).await;
    let second = list("page[size]=1&page[number]=2").await;
    assert_eq!(second.all("product_version_id"), [other.as_str()]);
    assert_eq!(second.body["meta"]["page"]["total"], 2);
    assert_eq!(list("filter[publish_status]=published").await.all("product_version_id"), [other.as_str()]);
    assert_eq!(list("filter[deprecated]=true").await.body["data"], json!([]));
    let made = list("sort=created_at").await.body["data"][1]["created_at"].as_str().unwrap().to_owned();
    for (operator, expected) in [("lt", 1), ("lte", 2), ("gt", 0), ("gte", 1), ("eq", 1)] {
        let found = list(&format!("filter[created_at][{operator}]={made}")).await;
        assert_eq!(found.body["meta"]["page"]["total"], expected, "{operator}");
    }
    let refused = list("filter[created_at][lt]=yesterday").await;
    assert_eq!(refused.refusal(), ("filter[created_at][lt]", "is_date_time", "query"));
    let refused = list("filter[created_at][contains]=2026").await;
    assert_eq!(refused.refusal(), ("filter[created_at][contains]", "unknown_property", "query"));
}

#[tokio::test]
async fn a_portal_with_application_registration_is_only_deleted_by_force() {
    let shop = Shop::new().await;
    shop.acme.put(&shop.one(), whole()).await;
    shop.acme.patch(&shop.one(), json!({"application_registration_enabled": true})).await;
    assert_eq!(shop.acme.delete(&shop.portal).await.refusal(), ("force", "required", "query"));
    shop.acme.patch(&shop.one(), json!({"application_registration_enabled": false})).await;
    assert_eq!(shop.acme.delete(&shop.portal).await.status, 204);
}

#[tokio::test]
async fn strangers_plant_them_too() {
    let shop = Shop::new().await;
    let planted = "/_sandbox/organizations/acme";
    let wanted = "5f2c1e7a-8d34-4b6f-9a51-3c7be0d94f12";
    let versions = format!("{planted}/api-products/{}/versions", shop.product);
    let version = shop.acme.post(&versions, json!({"id": wanted, "name": "v2"})).await;
    assert_eq!((version.status, version.id().as_str()), (201, wanted));
    let nowhere = format!("{planted}/api-products/{NOBODY}/versions");
    assert_eq!(shop.acme.post(&nowhere, json!({"name": "v1"})).await.status, 404);
    let strategies = format!("{planted}/auth-strategies");
    let strategy = shop.acme.post(&strategies, json!({"name": "keys"})).await.id();
    assert_eq!(shop.acme.post(&strategies, json!({"name": "keys", "credential_type": "magic"})).await.status, 400);
    let mut body = with_id(wanted);
    body["auth_strategy_ids"] = json!([strategy]);
    let linked = format!("{planted}/portals/{}/product-versions", id(&shop.portal));
    assert_eq!(shop.acme.post(&linked, body).await.status, 201);
    let state = shop.acme.sandbox.state();
    let shown = &state["organizations"]["acme"];
    assert_eq!(shown["api_products"][0]["versions"][1]["id"], wanted);
    assert_eq!(shown["auth_strategies"][1]["id"], json!(strategy));
    assert_eq!(shown["portals"][0]["product_versions"][0]["auth_strategies"][0]["name"], "keys");
}
