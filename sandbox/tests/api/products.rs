//! Which API products a portal shows.

use portico_sandbox::{Plant, Switches};
use serde_json::{Value, json};

use crate::client::{Acme, id};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn product(acme: &Acme, name: &str) -> String {
    acme.sandbox.plant("acme", Plant::ApiProduct { name: name.to_owned() }).unwrap()
}

/// The body that publishes an API product, or takes it back.
fn publication(product: &str, status: &str) -> Value {
    json!({"api_products": {product: {"publish_status": status}}})
}

#[tokio::test]
async fn products_are_published_and_taken_back() {
    let acme = Acme::new();
    let (portal, other) = (acme.portal("docs").await, acme.portal("other").await);
    let (orders, bills) = (product(&acme, "orders"), product(&acme, "bills"));
    let (publish, products) = (format!("{portal}/publish"), format!("{portal}/products"));
    assert!(acme.get(&products).await.all("name").is_empty());
    let published = acme.post(&publish, publication(&orders, "published")).await;
    assert_eq!((published.status, published.body), (204, Value::Null));
    acme.post(&publish, publication(&bills, "published")).await;
    acme.post(&publish, publication(&bills, "published")).await;
    acme.post(&format!("{other}/publish"), publication(&bills.to_uppercase(), "published")).await;
    assert_eq!(acme.get(&products).await.all("name"), ["orders", "bills"]);
    assert_eq!(acme.get(&format!("{products}?sort=name&page[size]=1")).await.all("name"), ["bills"]);
    let found = acme.get(&format!("{products}?filter[id]={bills}")).await;
    let shown = &found.body["data"][0];
    assert_eq!(shown["portal_ids"], json!([id(&portal), id(&other)]));
    assert_eq!((&shown["description"], &shown["labels"]), (&Value::Null, &json!({})));
    assert_eq!(acme.get(&portal).await.body["published_product_count"], 2);
    let state = acme.sandbox.state();
    assert_eq!(state["organizations"]["acme"]["portals"][0]["published_products"], json!([orders, bills]));

    assert_eq!(acme.post(&publish, publication(&bills, "unpublished")).await.status, 204);
    assert_eq!(acme.post(&publish, publication(&bills, "unpublished")).await.status, 204);
    assert_eq!(acme.get(&products).await.all("name"), ["orders"]);
    assert_eq!(acme.get(&format!("{other}/products")).await.all("name"), ["bills"]);
}

#[tokio::test]
async fn all_of_a_body_is_published_or_nothing() {
    let other = Switches { missing_api_product: 404, ..Switches::default() };
    for (status, switches) in [(400, Switches::default()), (404, other)] {
        let acme = Acme::with(switches);
        let portal = acme.portal("docs").await;
        let mut body = publication(&product(&acme, "orders"), "published");
        body["api_products"][NOBODY] = json!({"publish_status": "published"});
        let refused = acme.post(&format!("{portal}/publish"), body).await;
        assert_eq!(refused.status, status);
        if status == 400 {
            let field = format!("api_products.{NOBODY}");
            assert_eq!(refused.refusal(), (field.as_str(), "missing_reference", "body"));
        }
        assert!(acme.get(&format!("{portal}/products")).await.all("name").is_empty());
    }
    let acme = Acme::new();
    let publish = format!("{}/publish", acme.portal("docs").await);
    assert_eq!(acme.post(&publish, json!({})).await.refusal(), ("api_products", "required", "body"));
    let wrong = publication(&product(&acme, "orders"), "hidden");
    assert_eq!(acme.post(&publish, wrong).await.refusal().1, "enum");
}

#[tokio::test]
async fn null_changes_nothing_or_takes_back() {
    for (null_unpublishes, left) in [(false, vec!["orders"]), (true, vec![])] {
        let acme = Acme::with(Switches { null_unpublishes, ..Switches::default() });
        let portal = acme.portal("docs").await;
        let (publish, orders) = (format!("{portal}/publish"), product(&acme, "orders"));
        acme.post(&publish, publication(&orders, "published")).await;
        assert_eq!(acme.post(&publish, json!({"api_products": {orders: null}})).await.status, 204);
        assert_eq!(acme.get(&format!("{portal}/products")).await.all("name"), left);
    }
}
