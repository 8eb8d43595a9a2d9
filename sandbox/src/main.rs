//! `portico-sandbox`: Konnect and ACP in a box, for people without an account.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use portico_sandbox::{Options, Sandbox, Server, Switches};
use tracing_subscriber::EnvFilter;

/// A strict, stateful stand-in for the portal-management API of Kong Konnect and for Cloudentity ACP
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen without TLS
    #[arg(long, default_value = "127.0.0.1:8900")]
    listen: SocketAddr,
    /// Where to listen with TLS
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// An organization and a token that it accepts (repeatable)
    #[arg(long, value_name = "NAME=TOKEN", value_parser = name_and_token)]
    organization: Vec<(String, String)>,
    /// A tenant of ACP and the credentials of a client of its admin API (repeatable)
    #[arg(long, value_name = "NAME=CLIENT_ID:CLIENT_SECRET", value_parser = tenant)]
    tenant: Vec<Tenant>,
    /// A file to append every exchange to, one JSON object a line
    #[arg(long, value_name = "FILE")]
    exchanges: Option<PathBuf>,
    /// Where to write the certificate of the CA, for clients of the TLS port
    #[arg(long, value_name = "FILE", requires = "tls_listen")]
    ca_file: Option<PathBuf>,
    /// How to behave where the contract leaves it open, as JSON: {"max_labels": 5}
    #[arg(long, value_name = "JSON", value_parser = switches)]
    switches: Option<Switches>,
}

fn name_and_token(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, token)) if !name.is_empty() && !token.is_empty() => Ok((name.to_owned(), token.to_owned())),
        _ => Err("write NAME=TOKEN".to_owned()),
    }
}

#[derive(Clone)]
struct Tenant {
    name: String,
    client_id: String,
    client_secret: String,
}

fn tenant(text: &str) -> Result<Tenant, String> {
    let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once(':')?)));
    match parts {
        Some((name, (id, secret))) if !name.is_empty() && !id.is_empty() && !secret.is_empty() => {
            Ok(Tenant { name: name.to_owned(), client_id: id.to_owned(), client_secret: secret.to_owned() })
        }
        _ => Err("write NAME=CLIENT_ID:CLIENT_SECRET".to_owned()),
    }
}

fn switches(text: &str) -> Result<Switches, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(io::stderr)
        .init();
    let switches = arguments.switches.unwrap_or_default();
    let sandbox = Sandbox::new(Options { exchanges: arguments.exchanges, switches, ..Options::default() });
    for (name, token) in &arguments.organization {
        sandbox.accept(name, token);
    }
    for Tenant { name, client_id, client_secret } in &arguments.tenant {
        sandbox.accept_client(name, client_id, client_secret);
    }
    let mut servers = vec![sandbox.serve(arguments.listen).await?];
    if let Some(address) = arguments.tls_listen {
        servers.push(sandbox.serve_tls(address).await?);
    }
    if let Some(file) = arguments.ca_file
        && let Some(pem) = servers.iter().find_map(Server::ca_pem)
    {
        tokio::fs::write(file, pem).await?;
    }
    for server in &servers {
        println!("listening on {}", server.url());
    }
    tokio::signal::ctrl_c().await
}
