//! Which hosts Portico may speak to. Who installs Portico decides, not who writes a resource.
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Konnect's own management hosts, one a region.
const KONNECT: &str = "api.konghq.com";

/// Why no request is sent to a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The host was not named at installation.
    #[error("{0} is not on the list of allowed hosts; whoever installs Portico can allow it with --allow-host {0}")]
    NotListed(String),
    /// Plain http to a host that was not named with http.
    #[error("{0} is not https; only a host named with --allow-host {0} may be spoken to without TLS")]
    NotHttps(String),
    /// The URL holds a user name, a password, a query or a fragment, or has no host.
    #[error("{0:?} is not the base URL of an API: give scheme, host and, where needed, a port and a path")]
    NotABase(String),
}

/// The operator-level list of hosts: `https://{region}.api.konghq.com`, and what was named at installation.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    named: Arc<[Origin]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: Host,
    port: u16,
}

impl AllowList {
    /// Adds the origins named by `--allow-host`, each a scheme, a host and optionally a port.
    ///
    /// # Errors
    /// [`Refused::NotABase`] for a text that is no http or https origin.
    pub fn new<S: AsRef<str>>(named: &[S]) -> Result<Self, Refused> {
        let named = named.iter().map(|text| origin(&base(text.as_ref())?)).collect::<Result<_, _>>()?;
        Ok(Self { named })
    }

    /// Whether a request may be sent to this URL.
    ///
    /// # Errors
    /// [`Refused`], whose text names the flag that would allow it.
    pub fn check(&self, url: &Url) -> Result<(), Refused> {
        let wanted = origin(url)?;
        if self.named.contains(&wanted) {
            return Ok(());
        }
        let text = url.origin().ascii_serialization();
        if wanted.scheme != "https" {
            return Err(Refused::NotHttps(text));
        }
        let konnect = match &wanted.host {
            Host::Domain(name) => name
                .strip_suffix(KONNECT)
                .and_then(|n| n.strip_suffix('.'))
                .is_some_and(|region| !region.is_empty() && !region.contains('.')),
            _ => false,
        };
        if konnect && wanted.port == 443 { Ok(()) } else { Err(Refused::NotListed(text)) }
    }

    fn names_host(&self, name: &str) -> bool {
        self.named.iter().any(|o| matches!(&o.host, Host::Domain(named) if named.eq_ignore_ascii_case(name)))
    }
}

/// Parses the base URL of an API.
///
/// # Errors
/// [`Refused::NotABase`] for anything with a user, a query or a fragment, and for other schemes.
pub fn base(text: &str) -> Result<Url, Refused> {
    let not_a_base = || Refused::NotABase(text.to_owned());
    let url = Url::parse(text).map_err(|_| not_a_base())?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if plain && url.has_host() && matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(not_a_base()) }
}

fn origin(url: &Url) -> Result<Origin, Refused> {
    match (url.host(), url.port_or_known_default()) {
        (Some(host), Some(port)) => Ok(Origin { scheme: url.scheme().to_owned(), host: host.to_owned(), port }),
        _ => Err(Refused::NotABase(url.to_string())),
    }
}

/// Resolves names, and leaves out loopback and link-local addresses of hosts that were not named at installation, so that a name on
/// the list cannot be pointed at this machine or at a cloud's metadata service.
#[derive(Clone, Debug)]
pub struct GuardedResolver(pub AllowList);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let named = allow.names_host(&host);
            let usable: Vec<SocketAddr> = found.filter(|address| named || !is_local(address.ip())).collect();
            if usable.is_empty() {
                return Err(format!("{host} resolves to no address that may be connected to").into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Loopback, link-local and unspecified addresses, also as IPv4 in IPv6.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_local(v4.into()),
            None => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(named: &[&str], url: &str) -> Result<(), Refused> {
        AllowList::new(named).unwrap().check(&base(url)?)
    }

    #[test]
    fn konnect_is_allowed_in_every_region_and_nothing_else_is() {
        assert_eq!(allowed(&[], "https://eu.api.konghq.com"), Ok(()));
        for bad in [
            "https://api.konghq.com",
            "https://a.b.api.konghq.com",
            "https://evilapi.konghq.com",
            "https://eu.api.konghq.com.evil.test",
            "https://eu.api.konghq.com:8443",
            "https://example.com",
        ] {
            assert!(matches!(allowed(&[], bad), Err(Refused::NotListed(_))), "{bad} was allowed");
        }
        assert!(matches!(allowed(&[], "http://eu.api.konghq.com"), Err(Refused::NotHttps(_))));
    }

    #[test]
    fn a_named_host_counts_with_scheme_and_port() {
        let named = ["http://127.0.0.1:8900", "https://acp.example.com"];
        assert_eq!(allowed(&named, "http://127.0.0.1:8900"), Ok(()));
        assert_eq!(allowed(&named, "https://acp.example.com:443/"), Ok(()));
        for bad in ["http://127.0.0.1:8901", "https://127.0.0.1:8900", "https://acp.example.com:8443"] {
            assert!(allowed(&named, bad).is_err(), "{bad} was allowed");
        }
    }

    #[test]
    fn a_refusal_names_the_flag() {
        let text = allowed(&[], "https://example.com").unwrap_err().to_string();
        assert!(text.contains("--allow-host https://example.com"), "{text}");
    }

    #[test]
    fn a_base_url_holds_no_credentials_and_no_query() {
        for bad in [
            "https://u:p@eu.api.konghq.com",
            "https://eu.api.konghq.com?x=1",
            "https://eu.api.konghq.com#f",
            "ftp://x",
            "nonsense",
        ] {
            assert!(matches!(base(bad), Err(Refused::NotABase(_))), "{bad} was taken");
        }
    }

    #[test]
    fn local_addresses_are_known_in_every_disguise() {
        for local in ["127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        assert!(!is_local("10.0.0.7".parse().unwrap()));
    }
}
