//! Who may log in, and how: one user for each way the server can ask.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};

use super::TEMPLATE_DATABASE;

/// Every test user's password.
pub const PASSWORD: &str = "correct horse";

pub(super) const CA_FILE: &str = "ca.pem";
pub(super) const CERTIFICATE_FILE: &str = "server.pem";
pub(super) const KEY_FILE: &str = "server.key";

/// A way to log in. All are members of `clinic_app`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// SCRAM-SHA-256.
    Scram,
    /// `AuthenticationMD5Password`.
    Md5,
    /// `AuthenticationCleartextPassword`.
    Cleartext,
    /// Nothing is asked.
    Trust,
    /// SCRAM-SHA-256, and only through TLS.
    Tls,
    /// `AuthenticationCleartextPassword`, and only through TLS.
    TlsCleartext,
}

impl User {
    /// Every way.
    pub const ALL: [Self; 6] = [
        Self::Scram,
        Self::Md5,
        Self::Cleartext,
        Self::Trust,
        Self::Tls,
        Self::TlsCleartext,
    ];

    /// The role's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scram => "app_scram",
            Self::Md5 => "app_md5",
            Self::Cleartext => "app_cleartext",
            Self::Trust => "app_trust",
            Self::Tls => "app_tls",
            Self::TlsCleartext => "app_tls_cleartext",
        }
    }
}

/// The administrator is asked nothing on loopback: the data is made up and the port is random.
pub(super) const HBA: &str = "\
local   all postgres trust
local   all all scram-sha-256
host    all postgres 127.0.0.1/32 trust
host    all app_trust 127.0.0.1/32 trust
host    all app_md5 127.0.0.1/32 md5
host    all app_cleartext 127.0.0.1/32 password
hostnossl all app_tls,app_tls_cleartext 127.0.0.1/32 reject
hostssl all app_tls_cleartext 127.0.0.1/32 password
host    all all 127.0.0.1/32 scram-sha-256
";

/// Rights the drivers' normal work needs beyond those of the clinic's application.
pub(super) const GRANTS: &str = "\
GRANT CREATE ON SCHEMA public TO clinic_app;

GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO clinic_app;
";

/// Statements that make the users and the template database.
pub(super) fn setup() -> String {
    let mut statements = String::from("CREATE ROLE clinic_app LOGIN;\n\n");
    for user in User::ALL {
        let encryption = if user == User::Md5 {
            "md5"
        } else {
            "scram-sha-256"
        };
        statements.push_str(&format!(
            "SET password_encryption = '{encryption}';\n\nCREATE ROLE {} LOGIN PASSWORD '{PASSWORD}' IN ROLE clinic_app;\n\n",
            user.name()
        ));
    }
    statements.push_str(&format!("CREATE DATABASE {TEMPLATE_DATABASE};"));
    statements
}

/// A certificate authority of this server alone, and the server's own certificate for `localhost`
/// and `127.0.0.1`.
pub(super) fn certificates(data: &Path) -> Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut authority = named("abeyance tests authority", Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let server = named("localhost", vec!["localhost".into(), "127.0.0.1".into()])?;
    let certificate = server.signed_by(&key, &issuer)?;
    fs::write(data.join(CA_FILE), authority_certificate.pem())?;
    fs::write(data.join(CERTIFICATE_FILE), certificate.pem())?;
    fs::write(data.join(KEY_FILE), key.serialize_pem())?;
    fs::set_permissions(data.join(KEY_FILE), fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// Different names, or the server's certificate would look self-signed to OpenSSL.
fn named(name: &str, subjects: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(subjects)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}
