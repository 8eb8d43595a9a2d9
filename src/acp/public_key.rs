//! The public keys of a client. Only members of a key that anybody may know have a place here: no private key ends up in a resource.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A set of public keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicKeys {
    /// The keys, known by their kid, in any order, at most 32. The list is managed whole: a key that leaves it leaves the client, and [] removes all.
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kid"]))]
    pub keys: Vec<PublicKey>,
}

/// A public key as a JSON Web Key (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicKey {
    /// The id that tells the key from the others; 1 to 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub kid: String,
    /// The type of the key: `RSA`, `EC` or `OKP`.
    #[schemars(length(min = 1, max = 64))]
    pub kty: String,
    /// What the key is for: `sig` (signatures) or `enc` (encryption).
    #[serde(rename = "use")]
    #[schemars(length(min = 1, max = 64))]
    pub usage: String,
    /// The algorithm that the key is used with, such as `RS256`.
    #[schemars(length(min = 1, max = 64))]
    pub alg: String,
    /// Of an RSA key: the modulus, in base64url. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub n: Option<String>,
    /// Of an RSA key: the public exponent, in base64url, usually AQAB. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub e: Option<String>,
    /// Of an EC or OKP key: the curve, such as `P-256`. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub crv: Option<String>,
    /// Of an EC or OKP key: the x coordinate, in base64url. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub x: Option<String>,
    /// Of an EC key: the y coordinate, in base64url. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub y: Option<String>,
    /// The key's certificate and those above it, each DER in base64; at most 8, [] clears them. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 16384)))]
    pub x5c: Option<Vec<String>>,
    /// The SHA-1 thumbprint of the certificate, in base64url. Left out: not managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub x5t: Option<String>,
    /// The SHA-256 thumbprint of the certificate, in base64url. Left out: not managed.
    #[serde(default, rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub x5t_s256: Option<String>,
}
