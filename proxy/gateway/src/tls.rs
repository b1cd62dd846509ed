//! TLS on both sides, by rustls with ring.
//!
//! The only file that builds rustls configurations. Knows certificates and roots; no sessions, no protocol.

use std::sync::Arc;

use abeyance_wire::postgres::scram::tls_server_end_point;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};

/// Certificates, keys or roots that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("the certificate chain cannot be read: {0}")]
    Certificate(String),
    #[error("the private key cannot be read: {0}")]
    Key(String),
    #[error("the certificate and the private key cannot be used together: {0}")]
    Pair(rustls::Error),
    #[error("the CA certificates cannot be read: {0}")]
    Roots(String),
    #[error("the system has no usable root certificates; name a file with `ca`")]
    NoSystemRoots,
}

/// The name PostgreSQL has in ALPN; clients that begin with TLS at once must give it.
pub(crate) const ALPN: &[u8] = b"postgresql";

/// How clients reach the proxy over TLS.
#[derive(Clone)]
pub struct ClientTls {
    pub(crate) acceptor: tokio_rustls::TlsAcceptor,
    pub(crate) required: bool,
    /// `tls-server-end-point` of our own certificate, for SCRAM-SHA-256-PLUS.
    pub(crate) end_point: Option<Vec<u8>>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls")
            .field("required", &self.required)
            .finish_non_exhaustive()
    }
}

impl ClientTls {
    /// From PEM text: the chain with the leaf first, and its key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// When either cannot be read or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8], required: bool) -> Result<Self, TlsConfigError> {
        let chain = certificates(chain).map_err(TlsConfigError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsConfigError::Key(error.to_string()))?;
        let end_point = chain.first().and_then(|leaf| tls_server_end_point(leaf));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsConfigError::Pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            acceptor: Arc::new(config).into(),
            required,
            end_point,
        })
    }
}

/// How the proxy reaches a target.
#[derive(Clone)]
pub struct UpstreamTls(pub(crate) Option<tokio_rustls::TlsConnector>);

impl std::fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UpstreamTls")
            .field(&self.0.is_some())
            .finish()
    }
}

impl UpstreamTls {
    /// In clear.
    #[must_use]
    pub fn disable() -> Self {
        Self(None)
    }

    /// Encrypted, but to whoever answers: keeps listeners out, not impostors.
    ///
    /// # Errors
    /// When the crypto provider cannot be set up.
    pub fn require() -> Result<Self, TlsConfigError> {
        let provider = provider();
        let verifier = Arc::new(EncryptOnly(provider.clone()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Pair)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config).into())))
    }

    /// Encrypted, with the target's certificate and name checked against `ca`, or against the
    /// system's roots.
    ///
    /// # Errors
    /// When the roots cannot be read.
    pub fn verify_full(ca: Option<&[u8]>) -> Result<Self, TlsConfigError> {
        let roots = match ca {
            Some(pem) => roots_from_pem(pem)?,
            None => roots_from_system()?,
        };
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsConfigError::Pair)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config).into())))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("no certificate in the file".to_owned());
    }
    Ok(found)
}

fn roots_from_pem(pem: &[u8]) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem).map_err(TlsConfigError::Roots)? {
        roots
            .add(certificate)
            .map_err(|error| TlsConfigError::Roots(error.to_string()))?;
    }
    Ok(roots)
}

fn roots_from_system() -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsConfigError::NoSystemRoots);
    }
    Ok(roots)
}

/// Accepts any certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct EncryptOnly(Arc<CryptoProvider>);

impl ServerCertVerifier for EncryptOnly {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
