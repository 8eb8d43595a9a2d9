//! A certificate authority made on the spot, and everything that it and the service accounts need.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use crate::error::{Context, Error};

/// The certificate of the authority that signed all others.
pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

/// One certificate to be signed.
struct Leaf<'a> {
    /// Name of the files, without their endings.
    file: &'a str,
    /// Kubernetes takes the user's name from here…
    common_name: &'a str,
    /// …and the user's group from here.
    organization: Option<&'a str>,
    /// DNS names and addresses.
    names: &'a [&'a str],
    purpose: ExtendedKeyUsagePurpose,
}

/// Writes `ca.crt`, `server`, `admin` and `controller-manager` (each `.crt` and `.key`) and `service-account` (`.key`
/// and `.pub`) into `folder`.
pub(crate) fn write(folder: &Path) -> Result<Authority, Error> {
    let params = authority_params()?;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);
    save(folder, "ca.crt", &certificate.pem())?;

    let leaves = [
        Leaf {
            file: "server",
            common_name: "kube-apiserver",
            organization: None,
            names: &["127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1"],
            purpose: ExtendedKeyUsagePurpose::ServerAuth,
        },
        Leaf {
            file: "admin",
            common_name: "admin",
            organization: Some("system:masters"),
            names: &[],
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
        },
        Leaf {
            file: "controller-manager",
            common_name: "system:kube-controller-manager",
            organization: None,
            names: &[],
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
        },
    ];
    for leaf in &leaves {
        issue(folder, leaf, &issuer)?;
    }

    let service_accounts = KeyPair::generate()?;
    save(folder, "service-account.key", &service_accounts.serialize_pem())?;
    save(folder, "service-account.pub", &service_accounts.public_key_pem())?;

    Ok(Authority { pem: certificate.pem(), der: certificate.der().to_vec() })
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = params("portico testbed", &[])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn issue(folder: &Path, leaf: &Leaf<'_>, issuer: &Issuer<'_, KeyPair>) -> Result<(), Error> {
    let mut params = params(leaf.common_name, leaf.names)?;
    if let Some(organization) = leaf.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![leaf.purpose.clone()];
    params.use_authority_key_identifier_extension = true;

    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    save(folder, &format!("{}.crt", leaf.file), &certificate.pem())?;
    save(folder, &format!("{}.key", leaf.file), &key.serialize_pem())
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // Long past and far ahead, so that tests with a wrong clock still get a connection.
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    Ok(params)
}

fn save(folder: &Path, name: &str, text: &str) -> Result<(), Error> {
    let path = folder.join(name);
    fs::write(&path, text).context(format_args!("cannot write {}", path.display()))
}
