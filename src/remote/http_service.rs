//! The seam through which HTTP enters: one service type in production, in tests and in simulation.
use std::{sync::Arc, time::Duration};

use tower::{BoxError, ServiceExt, util::BoxCloneSyncService};

use super::allow::{AllowList, GuardedResolver};

/// Sends one request. `reqwest::Client` is such a service, and so is a sandbox's router.
pub type HttpService = BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError>;

/// Makes the service of one connection.
pub trait HttpFactory: Send + Sync + 'static {
    /// A service that trusts the usual authorities and, where given, those of `ca_pem`.
    ///
    /// # Errors
    /// A text for the user, where the bundle holds no certificate.
    fn build(&self, ca_pem: Option<&[u8]>) -> Result<HttpService, String>;
}

/// The real thing: reqwest on rustls, without redirects, with guarded name resolution.
#[derive(Debug)]
pub struct ReqwestFactory {
    /// The hosts that may resolve to local addresses.
    pub allow: AllowList,
}

impl HttpFactory for ReqwestFactory {
    fn build(&self, ca_pem: Option<&[u8]>) -> Result<HttpService, String> {
        let mut builder = reqwest::Client::builder()
            // reqwest follows ten redirects unless told not to; a redirect could lead anywhere.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("portico/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver(self.allow.clone())));
        if let Some(pem) = ca_pem {
            let bundle =
                reqwest::Certificate::from_pem_bundle(pem).map_err(|_| "the CA bundle is not PEM".to_owned())?;
            if bundle.is_empty() {
                return Err("the CA bundle holds no certificate".to_owned());
            }
            builder = builder.tls_certs_merge(bundle);
        }
        let client = builder.build().map_err(|e| format!("no TLS client can be made: {}", e.without_url()))?;
        Ok(BoxCloneSyncService::new(client.map_err(Into::into)))
    }
}
