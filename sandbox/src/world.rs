//! What exists: organizations with their portals, and in those the developers, teams, identity providers and so on; and
//! the tenants of ACP.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::acp::{Access, Tenant};
use crate::konnect::{self, Domain, ReplayJob};
use crate::problem::Problem;
use crate::seam::Seam;
use crate::secret::Secrets;

/// Everything that the sandbox knows of the APIs' objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) organizations: BTreeMap<String, Organization>,
    /// Hostnames of deleted portals that stay taken.
    pub(crate) reserved: BTreeSet<String>,
    /// The mails to developers, by organization. What is sent is sent: no snapshot takes it back.
    mails: BTreeMap<String, Vec<Value>>,
    pub(crate) tenants: BTreeMap<String, Tenant>,
    /// What each access token of ACP is good for.
    pub(crate) access: BTreeMap<String, Access>,
    /// Every secret that was accepted, made or returned.
    pub(crate) secrets: Secrets,
}

/// What one bearer token gives access to.
#[derive(Debug, Clone)]
pub(crate) struct Organization {
    pub(crate) portals: Collection<Portal>,
    pub(crate) api_products: Collection<Value>,
    /// Their versions, each with the id of its API product.
    pub(crate) api_product_versions: Collection<Value>,
    /// What applications authenticate with, as the API shows it.
    pub(crate) auth_strategies: Collection<Value>,
    /// The authentication strategy that the API chooses where a new portal names none.
    pub(crate) auth_strategy: String,
}

/// A portal and all that the API deletes with it.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    /// As the API shows it, without the counts, which are counted.
    pub(crate) body: Value,
    pub(crate) developers: Collection<Value>,
    pub(crate) teams: Collection<Team>,
    pub(crate) identity_providers: Collection<Value>,
    /// Identity provider → its client secret, which the API never shows.
    pub(crate) provider_secrets: BTreeMap<String, String>,
    /// Team → groups, in the order of their first mapping.
    pub(crate) group_mappings: Collection<Value>,
    /// As they are written: flat, and with the client secret.
    pub(crate) authentication_settings: Value,
    /// By the id of the version of the API product, and with the ids of the authentication strategies.
    pub(crate) product_versions: Collection<Value>,
    /// The ids of the API products that are published here.
    pub(crate) published_products: Vec<String>,
    pub(crate) audit_log_webhook: Option<Value>,
    pub(crate) audit_log_replay_job: Option<ReplayJob>,
    /// The custom domain of the third version of the API; that of the second is a field of the portal.
    pub(crate) domain: Option<Domain>,
}

/// A team with its parts.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    pub(crate) body: Value,
    pub(crate) roles: Collection<Value>,
    /// The ids of its members, which are developers of the portal.
    pub(crate) members: Vec<String>,
}

impl World {
    /// The organization, made where it does not exist yet.
    pub(crate) fn ensure(&mut self, organization: &str, seam: &Seam) -> &mut Organization {
        self.organizations.entry(organization.to_owned()).or_insert_with(|| Organization::new(seam))
    }

    pub(crate) fn organization(&self, name: &str) -> Result<&Organization, Problem> {
        self.organizations.get(name).ok_or_else(|| Problem::not_found("Organization"))
    }

    pub(crate) fn organization_mut(&mut self, name: &str) -> Result<&mut Organization, Problem> {
        self.organizations.get_mut(name).ok_or_else(|| Problem::not_found("Organization"))
    }

    /// The tenant, made with its built-in servers where it does not exist yet.
    pub(crate) fn ensure_tenant(&mut self, name: &str, seam: &Seam) -> &mut Tenant {
        let secrets = &mut self.secrets;
        self.tenants.entry(name.to_owned()).or_insert_with(|| {
            let tenant = Tenant::new(seam, name);
            for server in tenant.servers.iter() {
                secrets.collect(&server.body);
            }
            tenant
        })
    }

    /// All of it as `GET /_sandbox/state` shows it.
    pub(crate) fn show(&self) -> Value {
        json!({"organizations": self.show_organizations(), "tenants": self.show_tenants()})
    }

    pub(crate) fn show_organizations(&self) -> Map<String, Value> {
        let organizations = self.organizations.iter();
        organizations.map(|(name, organization)| (name.clone(), self.show_one(name, organization))).collect()
    }

    pub(crate) fn show_tenants(&self) -> Map<String, Value> {
        self.tenants.iter().map(|(name, tenant)| (name.clone(), tenant.show_whole())).collect()
    }

    fn show_one(&self, name: &str, organization: &Organization) -> Value {
        let mut shown = organization.show();
        shown["mails"] = json!(self.mails.get(name).map_or(&[][..], Vec::as_slice));
        shown
    }

    /// Notes a mail to developers.
    pub(crate) fn mail(&mut self, organization: &str, mail: Value) {
        self.mails.entry(organization.to_owned()).or_default().push(mail);
    }

    /// Whether a hostname belongs to another portal than this one, or stays reserved for one that is no more.
    pub(crate) fn hostname_taken(&self, hostname: &str, portal: &Value) -> bool {
        let others = self.organizations.values().flat_map(|organization| organization.portals.iter());
        let mut others = others.filter(|other| other.body["id"] != *portal);
        self.reserved.contains(&hostname.to_lowercase())
            || others.any(|other| other.hostnames().any(|taken| taken.eq_ignore_ascii_case(hostname)))
    }
}

impl Organization {
    /// One with the authentication strategy that every organization has, and nothing else.
    fn new(seam: &Seam) -> Self {
        let auth_strategy = seam.fresh_id();
        let mut auth_strategies = Collection::default();
        auth_strategies.insert(&auth_strategy, konnect::auth_strategy(&auth_strategy, "key-auth", "key_auth"));
        Self {
            portals: Collection::default(),
            api_products: Collection::default(),
            api_product_versions: Collection::default(),
            auth_strategies,
            auth_strategy,
        }
    }

    fn show(&self) -> Value {
        json!({
            "portals": self.portals.iter().map(|portal| portal.show_whole(self)).collect::<Vec<_>>(),
            "api_products": self.api_products.iter().map(|product| self.show_product(product)).collect::<Vec<_>>(),
            "auth_strategies": self.auth_strategies.iter().collect::<Vec<_>>(),
        })
    }

    fn show_product(&self, product: &Value) -> Value {
        let mut shown = product.clone();
        let versions = self.api_product_versions.iter().filter(|version| version["product_id"] == product["id"]);
        shown["versions"] = versions.cloned().collect();
        shown
    }
}

impl Portal {
    pub(crate) fn new(body: Value) -> Self {
        Self {
            body,
            developers: Collection::default(),
            teams: Collection::default(),
            identity_providers: Collection::default(),
            provider_secrets: BTreeMap::new(),
            group_mappings: Collection::default(),
            authentication_settings: json!({
                "basic_auth_enabled": true,
                "oidc_auth_enabled": false,
                "saml_auth_enabled": false,
                "oidc_team_mapping_enabled": false,
                "konnect_mapping_enabled": false,
                "idp_mapping_enabled": false,
            }),
            product_versions: Collection::default(),
            published_products: Vec::new(),
            audit_log_webhook: None,
            audit_log_replay_job: None,
            domain: None,
        }
    }

    /// The hostnames that nobody else may have.
    fn hostnames(&self) -> impl Iterator<Item = &str> {
        self.body["custom_domain"].as_str().into_iter().chain(self.domain.as_ref().map(Domain::hostname))
    }

    /// As the API shows it.
    pub(crate) fn show(&self) -> Value {
        let mut shown = self.body.clone();
        shown["application_count"] = json!(0);
        shown["developer_count"] = json!(self.developers.len());
        shown["published_product_count"] = json!(self.published_products.len());
        shown
    }

    /// As the API shows it with all that is in it; what it never shows is each time under `write_only`.
    fn show_whole(&self, organization: &Organization) -> Value {
        let mut shown = self.show();
        shown["teams"] = self.teams.iter().map(|team| self.show_team(team)).collect();
        shown["developers"] = self.developers.iter().cloned().collect();
        let providers = self.identity_providers.iter();
        shown["identity_providers"] = providers.map(|provider| self.show_provider(provider)).collect();
        let mappings = self.group_mappings.iter().filter_map(|mapping| {
            let team = mapping["team_id"].as_str()?;
            Some((team.to_owned(), mapping["groups"].clone()))
        });
        shown["group_mappings"] = Value::Object(mappings.collect());
        shown["authentication_settings"] = konnect::shown_settings(&self.authentication_settings);
        if let Some(secret) = self.authentication_settings.get("oidc_client_secret") {
            shown["authentication_settings"]["write_only"] = json!({"oidc_client_secret": secret});
        }
        let versions = self.product_versions.iter();
        shown["product_versions"] =
            versions.map(|version| konnect::shown_version(&organization.auth_strategies, version)).collect();
        shown["published_products"] = json!(self.published_products);
        // Also where the API would say that there is none: it does nothing in either case.
        shown["audit_log_webhook"] = self.audit_log_webhook.clone().unwrap_or_else(konnect::unconfigured_webhook);
        shown["audit_log_replay_job"] = json!(self.audit_log_replay_job.as_ref().map(ReplayJob::show));
        shown["custom_domain_v3"] = json!(self.domain.as_ref().map(Domain::show_whole));
        shown
    }

    fn show_provider(&self, provider: &Value) -> Value {
        let mut shown = provider.clone();
        if let Some(secret) = self.provider_secrets.get(&id_of(provider)) {
            shown["write_only"] = json!({"client_secret": secret});
        }
        shown
    }

    fn show_team(&self, team: &Team) -> Value {
        let mut shown = team.body.clone();
        shown["roles"] = team.roles.iter().cloned().collect();
        let emails = team.members.iter().filter_map(|id| self.developers.get(id));
        shown["developers"] = emails.map(|developer| developer["email"].clone()).collect();
        shown
    }
}

/// Objects by id, in the order in which they were made.
#[derive(Debug, Clone)]
pub(crate) struct Collection<T> {
    items: BTreeMap<u64, T>,
    numbers: HashMap<String, u64>,
    next: u64,
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), numbers: HashMap::new(), next: 0 }
    }
}

impl<T> Collection<T> {
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.items.get(self.numbers.get(id)?)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.items.get_mut(self.numbers.get(id)?)
    }

    /// Adds an item, or replaces the one of this id in its place.
    pub(crate) fn insert(&mut self, id: &str, item: T) {
        let number = *self.numbers.entry(id.to_owned()).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.items.insert(number, item);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        self.items.remove(&self.numbers.remove(id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.values_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// RFC 3339 in UTC, with as many digits of the fraction as it takes.
pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{}Z", text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.'))
}

/// The id of an object.
pub(crate) fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap_or_default().to_owned()
}
