//! The router on a port, plain or with TLS. Where the router makes no answer, the connection is closed without one.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::answer::{NoAnswer, Scheme};
use crate::sandbox::Sandbox;
use crate::tls::Identity;

/// After a failed accept, which is mostly a lack of file descriptors, it helps to wait.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A sandbox that listens. It stops when this is dropped, and all its connections are closed.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    ca_pem: Option<String>,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where it listens, with the port that was chosen where none was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the CA that its clients have to trust, if it speaks TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<String> {
        self.ca_pem.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sandbox {
    /// Listens without TLS. Port 0 chooses a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve(&self, address: SocketAddr) -> io::Result<Server> {
        self.listen(address, None).await
    }

    /// Listens with TLS, with a certificate for `127.0.0.1` and `localhost` from a CA made for this server.
    ///
    /// # Errors
    /// When the address cannot be listened on, or no certificate can be made.
    pub async fn serve_tls(&self, address: SocketAddr) -> io::Result<Server> {
        self.listen(address, Some(Identity::new()?)).await
    }

    async fn listen(&self, address: SocketAddr, identity: Option<Identity>) -> io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (acceptor, ca_pem) = match identity {
            Some(identity) => (Some(identity.acceptor), Some(identity.ca_pem)),
            None => (None, None),
        };
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let task = tokio::spawn(accept(listener, self.router(), acceptor));
        Ok(Server { address, scheme, ca_pem, task })
    }
}

/// Accepts until it is aborted, which drops the connections too.
async fn accept(listener: TcpListener, router: Router, acceptor: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // First those that have ended: there are never more of them than were accepted, so nobody is held up.
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), acceptor.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, router: Router, acceptor: Option<TlsAcceptor>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off Nagle's algorithm");
    }
    match acceptor {
        None => serve(stream, router, Scheme("http")).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => serve(stream, router, Scheme("https")).await,
            Err(error) => tracing::debug!(%error, "no TLS"),
        },
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, scheme: Scheme) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let router = router.clone();
        async move {
            request.extensions_mut().insert(scheme);
            let Ok(response) = router.oneshot(request).await;
            answered(response)
        }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "the connection ended early");
    }
}

/// An error makes hyper close the connection without writing anything.
fn answered(response: Response) -> io::Result<Response> {
    if response.extensions().get::<NoAnswer>().is_some() {
        return Err(io::Error::other("no answer, as was asked for"));
    }
    Ok(response)
}
