//! What the tests of teams ask of a world.
use portico_sandbox::Plant;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

impl World {
    /// A world with a Ready Portal `docs`, and the portal's id.
    pub(crate) async fn with_docs(name: &str) -> (Self, String) {
        let world = Self::new(name).await;
        world.portal("docs", json!({})).await;
        let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
        (world, id)
    }

    /// The same with a connection that looks at nothing by itself, so that the requests of one resource can be counted.
    pub(crate) async fn quiet_with_docs(name: &str) -> (Self, String) {
        let mut world = Self::still(name).await;
        world.start();
        world.connection(json!({"resyncInterval": "1h"})).await;
        world.ready("KonnectConnection", "acme").await;
        world.portal("docs", json!({})).await;
        let id = world.synced("Portal", "docs").await["status"]["id"].as_str().unwrap().to_owned();
        (world, id)
    }

    /// The teams in the portal of this name, each with its roles and the e-mails of its developers.
    pub(crate) fn teams_in(&self, portal: &str) -> Vec<Value> {
        self.only(portal)["teams"].as_array().cloned().unwrap_or_default()
    }

    /// The one team in the portal of this name.
    pub(crate) fn only_team_in(&self, portal: &str) -> Value {
        let found = self.teams_in(portal);
        assert_eq!(found.len(), 1, "teams in {portal}: {found:#?}");
        found[0].clone()
    }

    /// The names of the roles of the one team in the portal of this name.
    pub(crate) fn roles_in(&self, portal: &str) -> Vec<String> {
        let team = self.only_team_in(portal);
        let roles = team["roles"].as_array().into_iter().flatten();
        let mut names: Vec<String> = roles.map(|r| r["role_name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// Someone else makes something; returns its id.
    pub(crate) fn stranger_makes(&self, what: Plant) -> String {
        self.sandbox.plant("acme", what).expect("it is planted")
    }

    /// Someone signs up in a portal.
    pub(crate) fn sign_up(&self, portal: &str, email: &str) -> String {
        let (portal, email) = (portal.to_owned(), email.to_owned());
        self.stranger_makes(Plant::Developer { portal, email, status: "approved".into() })
    }

    /// A portal gets an identity provider.
    pub(crate) fn identity_provider(&self, portal: &str) -> String {
        let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal"});
        let body = json!({"type": "oidc", "config": config, "enabled": true});
        self.stranger_makes(Plant::IdentityProvider { portal: portal.to_owned(), body })
    }

    /// The same in the two steps that someone at the console takes: it is made disabled, and enabled then.
    pub(crate) async fn identity_provider_by_hand(&self, portal: &str) {
        let providers = format!("/v2/portals/{portal}/identity-providers");
        let config = json!({"issuer_url": "https://idp.example.com", "client_id": "portal"});
        let body = json!({"type": "oidc", "config": config});
        assert_eq!(self.by_hand(Method::POST, &providers, Some(body)).await, 201);
        let made = self.portals().into_iter().find(|p| p["id"] == portal).unwrap_or_default();
        let provider = made["identity_providers"][0]["id"].as_str().expect("it was made").to_owned();
        let provider = format!("{providers}/{provider}");
        assert_eq!(self.by_hand(Method::PATCH, &provider, Some(json!({"enabled": true}))).await, 200);
    }

    /// An API product.
    pub(crate) fn product(&self) -> String {
        self.stranger_makes(Plant::ApiProduct { name: "payments".into() })
    }

    /// A spec with all that a team can have; what that needs at the API (a product, two developers, an identity provider) is made.
    pub(crate) fn everything(&self, portal: &str) -> Value {
        let product = self.product();
        self.sign_up(portal, "ann@example.com");
        self.sign_up(portal, "bob@example.com");
        self.identity_provider(portal);
        json!({
            "description": "who reads",
            "roles": {"items": [role("API Viewer", &product), role("API Consumer", &product)]},
            "developers": {"items": ["ann@example.com", "bob@example.com"]},
            "identityProviderGroups": ["engineers", "writers"],
        })
    }
}

/// An entry of a team's roles.
pub(crate) fn role(name: &str, product: &str) -> Value {
    json!({"roleName": name, "entityId": product, "entityRegion": "eu"})
}
