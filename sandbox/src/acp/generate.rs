//! What the server makes where nobody supplies it: ids, secrets, keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::seam::Seam;

/// Of the ids that the API makes for clients.
const ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

/// So many random bytes in base64url.
pub(super) fn random(seam: &Seam, bytes: usize) -> String {
    URL_SAFE_NO_PAD.encode(seam.bytes(bytes))
}

/// 43 letters of base64url.
pub(crate) fn secret(seam: &Seam) -> String {
    random(seam, 32)
}

/// 20 letters, as `bugkgm23g9kregtu051g`.
pub(crate) fn client_id(seam: &Seam) -> String {
    seam.letters(ALPHABET, 20)
}

/// A key of this type, which has the shape of one and signs nothing.
pub(super) fn jwks(seam: &Seam, key_type: &str) -> Value {
    let random = |bytes: usize| random(seam, bytes);
    let key = if key_type == "ecdsa" {
        json!({
            "use": "sig", "kty": "EC", "kid": random(16), "alg": "ES256", "crv": "P-256",
            "x": random(32), "y": random(32), "d": random(32),
        })
    } else {
        json!({
            "use": "sig", "kty": "RSA", "kid": random(16), "alg": "RS256", "e": "AQAB", "n": random(256),
            "d": random(256), "p": random(128), "q": random(128), "dp": random(128), "dq": random(128),
            "qi": random(128),
        })
    };
    json!({"keys": [key]})
}
