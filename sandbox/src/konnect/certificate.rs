//! Whether a certificate and a key are what they should be, and how long the certificate is good.

use chrono::{DateTime, NaiveDateTime, Utc};
use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::custom_domain::{CERTIFICATE, KEY};

/// Of the tags of DER, the two that lead to the end of a certificate's life.
const VERSION: u8 = 0xa0;
const SHORT_TIME: u8 = 0x17;

/// When the certificate expires; or which field is wrong, and why. Nothing of the two is repeated.
pub(super) fn read(
    certificate: Option<&str>,
    key: Option<&str>,
) -> Result<DateTime<Utc>, (&'static str, &'static str)> {
    let unreadable = (CERTIFICATE, "must be a certificate in PEM");
    let sections = CertificateDer::pem_slice_iter(certificate.unwrap_or_default().as_bytes());
    let chain: Vec<CertificateDer<'static>> = sections.collect::<Result<_, _>>().map_err(|_| unreadable)?;
    let expires_at = chain.first().and_then(|first| not_after(first)).ok_or(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key.unwrap_or_default().as_bytes());
    let key = key.map_err(|_| (KEY, "must be a private key in PEM"))?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|_| (KEY, "must be the key of the certificate"))?;
    Ok(expires_at)
}

/// The end of a certificate's life, the only thing that is wanted of it.
fn not_after(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (_, signed, _) = element(certificate)?;
    let (_, mut rest, _) = element(signed)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // The serial number, the algorithm of the signature, and the issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    // The short form leaves out the century.
    let century = match text.get(..1) {
        _ if tag != SHORT_TIME => "",
        Some("0" | "1" | "2" | "3" | "4") => "20",
        _ => "19",
    };
    let time = NaiveDateTime::parse_from_str(&format!("{century}{text}"), "%Y%m%d%H%M%S").ok()?;
    Some(time.and_utc())
}

/// The first element of some DER: its tag, what is in it, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
        let add = |length: usize, byte: &u8| length.checked_mul(256)?.checked_add(usize::from(*byte));
        (bytes.iter().try_fold(0, add)?, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate that is good until this year begins, and its key.
    fn pair(year: i32) -> (String, String) {
        let mut parameters = CertificateParams::new(vec!["docs.example.com".to_owned()]).unwrap();
        parameters.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_says_when_it_expires() {
        // From 2050 on, certificates write the century too.
        for year in [2040, 2060] {
            let (certificate, key) = pair(year);
            let expires_at = read(Some(&certificate), Some(&key)).expect("they fit");
            assert_eq!(expires_at.to_rfc3339(), format!("{year}-01-01T00:00:00+00:00"));
        }
    }

    #[test]
    fn what_does_not_fit_is_named_and_not_repeated() {
        let ((certificate, key), (_, other)) = (pair(2040), pair(2041));
        let field = |certificate: Option<&str>, key: Option<&str>| read(certificate, key).expect_err("refused").0;
        let cut = &certificate[..certificate.len() / 2];
        for wrong in [None, Some(""), Some(cut), Some(key.as_str())] {
            assert_eq!(field(wrong, Some(&key)), "custom_certificate");
        }
        for wrong in [None, Some("no key"), Some(certificate.as_str()), Some(other.as_str())] {
            assert_eq!(field(Some(&certificate), wrong), "custom_private_key");
        }
    }
}
