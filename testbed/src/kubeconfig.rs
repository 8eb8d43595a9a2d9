//! Kubeconfig files.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Context, Error};

/// Who a kubeconfig speaks for.
pub(crate) enum User<'a> {
    /// The holder of `<name>.crt` and `<name>.key` in the folder of the authority.
    Certificate(&'a str),
    /// The holder of a bearer token.
    Token(&'a str),
}

/// Writes a kubeconfig for `server`, whose authority is `ca.crt` in `pki`.
///
/// It is written as JSON, which is YAML as well, so that no path or token needs quoting by hand.
pub(crate) fn write(path: &Path, server: &str, pki: &Path, user: &User<'_>) -> Result<(), Error> {
    let user = match user {
        User::Certificate(name) => json!({
            "client-certificate": file(pki, &format!("{name}.crt")),
            "client-key": file(pki, &format!("{name}.key")),
        }),
        User::Token(token) => json!({ "token": token }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "testbed",
            "cluster": { "server": server, "certificate-authority": file(pki, "ca.crt") },
        }],
        "users": [{ "name": "testbed", "user": user }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": "testbed" } }],
        "current-context": "testbed",
    });
    fs::write(path, format!("{config:#}\n")).context(format_args!("cannot write {}", path.display()))
}

fn file(pki: &Path, name: &str) -> Value {
    Value::String(pki.join(name).display().to_string())
}
