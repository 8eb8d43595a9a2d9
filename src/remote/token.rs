//! Where the bearer token of a request comes from: a token as it is, or OAuth2 client credentials.
//!
//! A token is fetched once per connection, renewed early, and shared by all passes. While one is being fetched everyone waits for that
//! one; a fetch that failed is not repeated by those who waited.
use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use oauth2::{
    AsyncHttpClient, AuthType, ClientId, ClientSecret, EndpointNotSet, ErrorResponse, HttpRequest, HttpResponse,
    RequestTokenError, RevocationErrorResponseType, StandardErrorResponse, StandardRevocableToken, TokenResponse,
    TokenUrl,
    basic::{BasicTokenIntrospectionResponse, BasicTokenResponse},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{sync::Mutex, time::Instant};
use url::Url;

use super::ApiError;

/// A token is renewed when this share of its life is over.
const RENEW_AFTER: f64 = 0.8;
/// The life of a token whose server does not say.
const USUAL_LIFE: Duration = Duration::from_secs(300);

/// A token of a longer life is renewed anyway.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// How a client shows its secret to a token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// In the header `Authorization`.
    Basic,
    /// In the body.
    Post,
}

/// What a connection authenticates with. Has no `Debug`.
#[derive(Clone)]
pub enum Credential {
    /// A bearer token as it is.
    Token(SecretString),
    /// An OAuth2 client.
    Client {
        /// The client's id.
        id: String,
        /// The client's secret.
        secret: SecretString,
        /// The token endpoint.
        url: Url,
        /// How the secret is shown.
        auth: ClientAuth,
    },
}

impl Credential {
    /// All that changes with the credential, to tell whether it did.
    #[must_use]
    pub fn identity(&self) -> SecretString {
        match self {
            Self::Token(token) => token.clone(),
            Self::Client { id, secret, url, auth } => {
                format!("{id}\n{}\n{url}\n{auth:?}", secret.expose_secret()).into()
            }
        }
    }
}

struct Current {
    token: SecretString,
    renew_at: Instant,
    ends_at: Instant,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// Counts the fetches that failed, so that those who waited for one do not repeat it.
    failures: u64,
    last_failure: Option<ApiError>,
}

/// The tokens of one connection.
pub struct Tokens {
    credential: Credential,
    state: Mutex<State>,
    failures: std::sync::atomic::AtomicU64,
}

/// How a request to the token endpoint goes out: what is checked and counted is the caller's.
pub trait Exchange: Send + Sync + 'static {
    /// Sends one request.
    fn exchange(&self, request: HttpRequest) -> BoxFuture<'static, Result<HttpResponse, TransportError>>;
}

/// An [`Exchange`] as the OAuth2 library wants it.
struct Wire(Arc<dyn Exchange>);

impl<'c> AsyncHttpClient<'c> for Wire {
    type Error = TransportError;
    type Future = BoxFuture<'static, Result<HttpResponse, TransportError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.0.exchange(request)
    }
}

/// Why a token endpoint did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(pub String);

/// An error of a token endpoint: OAuth2's, with the hint that ACP adds (contracts/acp.md, token endpoint).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TokenError {
    error: String,
    error_description: Option<String>,
    error_hint: Option<String>,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = self.error_description.iter().chain(&self.error_hint);
        let words: Vec<&str> = std::iter::once(&self.error).chain(more).map(String::as_str).collect();
        f.write_str(&words.join(": "))
    }
}

impl ErrorResponse for TokenError {}

type Client = oauth2::Client<
    TokenError,
    BasicTokenResponse,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    StandardErrorResponse<RevocationErrorResponseType>,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
>;

impl Tokens {
    /// No token yet.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self { credential, state: Mutex::default(), failures: std::sync::atomic::AtomicU64::new(0) }
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// [`ApiError::Unauthorized`] in the token endpoint's own words, [`ApiError::Unavailable`] where it does not answer.
    pub async fn bearer(&self, exchange: &Arc<dyn Exchange>) -> Result<SecretString, ApiError> {
        use std::sync::atomic::Ordering::SeqCst;
        let (id, secret, url, auth) = match &self.credential {
            Credential::Token(token) => return Ok(token.clone()),
            Credential::Client { id, secret, url, auth } => (id, secret, url, auth),
        };
        let seen = self.failures.load(SeqCst);
        let mut state = self.state.lock().await;
        if let Some(current) = state.current.as_ref().filter(|current| Instant::now() < current.renew_at) {
            return Ok(current.token.clone());
        }
        if let Some(failure) = state.last_failure.clone().filter(|_| state.failures > seen) {
            return Err(failure);
        }
        match fetch(Wire(exchange.clone()), id.clone(), secret.clone(), url.clone(), *auth).await {
            Ok((token, life)) => {
                let now = Instant::now();
                state.last_failure = None;
                let (renew_at, ends_at) = (now + life.mul_f64(RENEW_AFTER), now + life);
                state.current = Some(Current { token: token.clone(), renew_at, ends_at });
                Ok(token)
            }
            Err(error) => {
                let now = Instant::now();
                if let Some(current) = state.current.as_mut().filter(|current| now < current.ends_at) {
                    // It was to be renewed early, and is good for a while yet.
                    current.renew_at = now + (current.ends_at - now) / 4;
                    return Ok(current.token.clone());
                }
                state.failures += 1;
                state.last_failure = Some(error.clone());
                self.failures.store(state.failures, SeqCst);
                Err(error)
            }
        }
    }

    /// A token was refused, and is not used again. True where another one can be fetched.
    pub async fn refused(&self, token: &SecretString) -> bool {
        if matches!(self.credential, Credential::Token(_)) {
            return false;
        }
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|current| current.token.expose_secret() == token.expose_secret()) {
            state.current = None;
        }
        true
    }
}

/// Owns all it needs, and is boxed: the compiler cannot see through the library's generic futures that it may move between threads.
fn fetch(
    wire: Wire,
    id: String,
    secret: SecretString,
    url: Url,
    auth: ClientAuth,
) -> BoxFuture<'static, Result<(SecretString, Duration), ApiError>> {
    Box::pin(async move { ask(&wire, id, &secret, &url, auth).await })
}

async fn ask(
    wire: &Wire,
    id: String,
    secret: &SecretString,
    url: &Url,
    auth: ClientAuth,
) -> Result<(SecretString, Duration), ApiError> {
    let auth = match auth {
        ClientAuth::Basic => AuthType::BasicAuth,
        ClientAuth::Post => AuthType::RequestBody,
    };
    let client = Client::new(ClientId::new(id))
        .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
        .set_token_uri(TokenUrl::from_url(url.clone()))
        .set_auth_type(auth);
    let answer = client.exchange_client_credentials().request_async(wire).await;
    match answer {
        Ok(answer) => {
            let life = answer.expires_in().unwrap_or(USUAL_LIFE).min(LONGEST_LIFE);
            Ok((SecretString::from(answer.access_token().secret().clone()), life))
        }
        Err(RequestTokenError::ServerResponse(error)) => Err(ApiError::Unauthorized(error.to_string())),
        Err(RequestTokenError::Request(error)) => Err(ApiError::Unavailable(error.to_string())),
        // What does not parse may hold anything, so it is not repeated.
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
            let why = format!("{} did not answer as a token endpoint does", url.origin().ascii_serialization());
            Err(ApiError::Unavailable(why))
        }
    }
}
