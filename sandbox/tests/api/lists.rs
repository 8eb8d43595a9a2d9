//! Pages, filters and sorting.

use serde_json::json;

use crate::client::Acme;

async fn three() -> Acme {
    let acme = Acme::new();
    for (name, public) in [("b-two", true), ("a-one", false), ("c-three", true)] {
        let made = acme.post("/v2/portals", json!({"name": name, "is_public": public})).await;
        assert_eq!(made.status, 201);
    }
    acme
}

#[tokio::test]
async fn every_page_says_how_many_there_are() {
    let acme = three().await;
    let first = acme.get("/v2/portals?page[size]=2").await;
    assert_eq!(first.all("name"), ["b-two", "a-one"]);
    assert_eq!(first.body["meta"], json!({"page": {"number": 1, "size": 2, "total": 3}}));
    let second = acme.get("/v2/portals?page%5Bsize%5D=2&page%5Bnumber%5D=2").await;
    assert_eq!(second.all("name"), ["c-three"]);
    let beyond = acme.get("/v2/portals?page[number]=9").await;
    assert!(beyond.all("name").is_empty());
    assert_eq!(beyond.body["meta"]["page"], json!({"number": 9, "size": 10, "total": 3}));
}

#[tokio::test]
async fn a_page_has_limits() {
    let acme = Acme::new();
    let page = async |query: &str| acme.get(&format!("/v2/portals?{query}")).await;
    assert_eq!(page("page[size]=100").await.status, 200);
    let large = page("page[size]=101").await;
    assert_eq!(large.refusal(), ("page[size]", "max", "query"));
    assert_eq!(large.body["invalid_parameters"][0]["maximum"], 100);
    let small = page("page[number]=0").await;
    assert_eq!(small.refusal(), ("page[number]", "min", "query"));
    assert_eq!(small.body["invalid_parameters"][0]["minimum"], 1);
    assert_eq!(page("page[size]=-1").await.refusal(), ("page[size]", "min", "query"));
    assert_eq!(page("page[size]=ten").await.refusal(), ("page[size]", "is_integer", "query"));
}

#[tokio::test]
async fn filters_select_as_their_operators_say() {
    let acme = three().await;
    for (filter, expected) in [
        ("filter[name]=a-one", vec!["a-one"]),
        ("filter[name][eq]=a-one", vec!["a-one"]),
        ("filter[name][neq]=a-one", vec!["b-two", "c-three"]),
        ("filter[name][contains]=-t", vec!["b-two", "c-three"]),
        ("filter[name][oeq]=a-one,c-three", vec!["a-one", "c-three"]),
        ("filter[name][ocontains]=one,two", vec!["b-two", "a-one"]),
        ("filter[is_public]=true", vec!["b-two", "c-three"]),
        ("filter[is_public]=true&filter[name][contains]=w", vec!["b-two"]),
        ("filter[name]=absent", vec![]),
        ("unknown=ignored&filter[name]=a-one", vec!["a-one"]),
    ] {
        let found = acme.get(&format!("/v2/portals?{filter}")).await;
        assert_eq!(found.all("name"), expected, "{filter}");
        assert_eq!(found.body["meta"]["page"]["total"], expected.len(), "{filter}");
    }
    let portals = acme.get("/v2/portals").await;
    let wanted = portals.all("id")[1];
    assert_eq!(acme.get(&format!("/v2/portals?filter[id]={wanted}")).await.all("name"), ["a-one"]);
}

#[tokio::test]
async fn an_unknown_filter_is_refused() {
    let acme = Acme::new();
    let unknown = |filter: &'static str| (filter, "unknown_property", "query");
    for filter in ["filter[nick]", "filter[name][like]", "filter[is_public][eq]", "filter[name"] {
        assert_eq!(acme.get(&format!("/v2/portals?{filter}=x")).await.refusal(), unknown(filter));
    }
    assert_eq!(acme.get("/v2/portals?filter[id]=x").await.refusal(), ("filter[id]", "is_uuid", "query"));
    let refused = acme.get("/v2/portals?filter[is_public]=x").await;
    assert_eq!(refused.refusal(), ("filter[is_public]", "is_boolean", "query"));
}

#[tokio::test]
async fn sorting_takes_the_documented_attributes() {
    let acme = three().await;
    assert_eq!(acme.get("/v2/portals?sort=name").await.all("name"), ["a-one", "b-two", "c-three"]);
    assert_eq!(acme.get("/v2/portals?sort=name%20desc").await.all("name"), ["c-three", "b-two", "a-one"]);
    let both = acme.get("/v2/portals?sort=is_public%20desc,name").await;
    assert_eq!(both.all("name"), ["b-two", "c-three", "a-one"]);
    assert_eq!(acme.get("/v2/portals?sort=created_at").await.all("name"), ["b-two", "a-one", "c-three"]);
    let refused = acme.get("/v2/portals?sort=nick").await;
    assert_eq!(refused.refusal(), ("sort", "enum", "query"));
    assert_eq!(refused.body["invalid_parameters"][0]["choices"].as_array().unwrap().len(), 11);
}

#[tokio::test]
async fn developers_are_found_by_mail_and_name() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    for email in ["bob@example.com", "ann@example.com"] {
        acme.developer(&portal, email);
    }
    let list = format!("{portal}/developers");
    assert_eq!(acme.get(&format!("{list}?filter[email][eq]=ann@example.com")).await.all("full_name"), ["ann"]);
    assert_eq!(acme.get(&format!("{list}?filter[name]=bob")).await.all("email"), ["bob@example.com"]);
    assert_eq!(acme.get(&format!("{list}?sort=name")).await.all("full_name"), ["ann", "bob"]);
}

#[tokio::test]
async fn developers_change_their_status_and_nothing_else() {
    let acme = Acme::new();
    let portal = acme.portal("docs").await;
    let developer = format!("{portal}/developers/{}", acme.developer(&portal, "ann@example.com"));
    assert_eq!(acme.get(&developer).await.body["status"], "approved");
    let revoked = acme.patch(&developer, json!({"status": "revoked"})).await;
    assert_eq!((revoked.status, &revoked.body["status"]), (200, &json!("revoked")));
    assert_eq!(acme.patch(&developer, json!({"status": "nice"})).await.refusal(), ("status", "enum", "body"));
    let refused = acme.patch(&developer, json!({"email": "eve@example.com"})).await;
    assert_eq!(refused.refusal(), ("email", "unknown_property", "body"));
    assert_eq!(acme.delete(&developer).await.status, 204);
    assert_eq!(acme.get(&developer).await.status, 404);
    assert_eq!(acme.post(&format!("{portal}/developers"), json!({})).await.status, 404, "there is no such operation");
}
