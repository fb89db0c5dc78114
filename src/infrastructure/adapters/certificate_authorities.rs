//! The certificate authorities of which servers of others have their certificates: the public ones, and those of a file
//! of the operator.

use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The certificate authorities that are trusted, by default the public ones. Clones share them.
#[derive(Clone, Debug)]
pub struct CertificateAuthorities(Arc<RootCertStore>);

/// Why a file has no certificates of authorities; the text is what follows the name of the file.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAuthorities {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It has no certificate, or not the text form of one (RFC 7468).
    #[error("has no certificate in PEM (`-----BEGIN CERTIFICATE-----`), or one that is not complete")]
    Form,
    /// One of its certificates cannot be parsed.
    #[error("has a certificate that is not valid, number {0}")]
    Certificate(usize),
}

impl Default for CertificateAuthorities {
    fn default() -> Self {
        Self(Arc::new(public()))
    }
}

impl CertificateAuthorities {
    /// Returns the public authorities and those of a file, which has the certificate of each in PEM.
    pub fn with_file(path: &Path) -> Result<Self, InvalidAuthorities> {
        let text = fs::read(path).map_err(InvalidAuthorities::Unreadable)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.ok().filter(|all| !all.is_empty()).ok_or(InvalidAuthorities::Form)?;
        let mut roots = public();
        for (number, certificate) in (1..).zip(certificates) {
            roots.add(certificate).map_err(|_| InvalidAuthorities::Certificate(number))?;
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Returns the certificates, for connections.
    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

/// Returns the public authorities, as Mozilla trusts them.
fn public() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Returns how many authorities a file adds to the public ones.
    fn added(path: &Path) -> Result<usize, String> {
        let with_file = CertificateAuthorities::with_file(path).map_err(|error| error.to_string())?;
        Ok(with_file.0.len() - public().len())
    }

    #[test]
    fn a_file_adds_the_authorities_whose_certificates_it_has() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/authority.pem");
        assert_eq!(added(&path), Ok(1));
        let certificate = fs::read_to_string(&path).unwrap();
        let of = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            added(file.path())
        };
        assert_eq!(of(&format!("Ours:\n{certificate}Theirs:\n{certificate}")), Ok(2));
        let (begin, end) = ("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n");
        for (text, expected) in [
            (String::new(), "has no certificate in PEM"),
            ("no certificate".to_owned(), "has no certificate in PEM"),
            (certificate.replace("CERTIFICATE", "PUBLIC KEY"), "has no certificate in PEM"),
            (certificate.replace(end, ""), "has no certificate in PEM"),
            (format!("{begin}AAAA\n{end}"), "has a certificate that is not valid, number 1"),
            (format!("{certificate}{begin}AAAA\n{end}"), "has a certificate that is not valid, number 2"),
        ] {
            let refused = of(&text).unwrap_err();
            assert!(refused.starts_with(expected), "{text}: {refused}");
        }
        let refused = added(Path::new("/nonexistent/authority.pem")).unwrap_err();
        assert!(refused.starts_with("cannot be read: "), "{refused}");
    }
}
