//! Files and secrets a configuration points at.
//!
//! A secret is never a literal in the file: it is `{ env = "NAME" }` or `{ file = "PATH" }`, and
//! lives in a type that prints as redacted. Carries the start of invariant 7.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use toml::{Spanned, de::DeValue};

use super::{
    problem::{Problems, Span},
    section::{At, Section},
};

/// No secret, certificate or key is larger.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What looking outside the configuration file takes.
pub struct Surroundings<'a> {
    /// Relative paths start here: the folder of the configuration file.
    pub base: &'a Path,
    /// The process environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Whether to look outside the configuration file at all.
    pub look: bool,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("base", &self.base)
            .field("look", &self.look)
            .finish_non_exhaustive()
    }
}

impl Surroundings<'_> {
    /// A path as the configuration means it.
    pub fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// The secret a key points at. When `needed` is false the reference is checked for its form only.
    pub fn secret(
        &self,
        section: &Section<'_>,
        key: &'static str,
        needed: bool,
    ) -> Option<At<SecretString>> {
        let value = section.value(key)?;
        let Some(table) = value.get_ref().as_table() else {
            refuse_literal(section, key, value);
            return None;
        };
        let reference = Section::new(
            format!("`{key}` in {}", section.name()),
            value.span(),
            table,
            section.problems,
        );
        let (env, file) = (reference.string("env"), reference.string("file"));
        let needed = needed && self.look;
        let secret = match (env, file) {
            (Some(name), None) if needed => self.secret_from_env(&name, section.problems),
            (None, Some(path)) if needed => self.secret_from_file(&path, section.problems),
            (Some(_), None) | (None, Some(_)) => None,
            (Some(_), Some(_)) => {
                section.problems.error(
                    &value.span(),
                    format!("{} names both `env` and `file`", reference.name()),
                    "keep one of them",
                );
                None
            }
            (None, None) => {
                let given = reference.has("env") || reference.has("file");
                if !given {
                    reference.missing("env", "\"NAME\"");
                }
                None
            }
        };
        reference.finish();
        secret.map(|secret| At {
            span: value.span(),
            value: secret,
        })
    }

    fn secret_from_env(&self, name: &At<String>, problems: &Problems) -> Option<SecretString> {
        let letter = |char: char| char.is_ascii_alphanumeric() || char == '_';
        if !name.value.chars().all(letter) {
            // Perhaps the secret itself.
            problems.conceal(&name.span);
            problems.error(
                &name.span,
                "that is not the name of an environment variable",
                "a name has only letters, digits and underscores",
            );
            return None;
        }
        let found = (self.env)(&name.value).filter(|value| !value.is_empty());
        if found.is_none() {
            problems.error(
                &name.span,
                format!("the environment variable `{}` is not set", name.value),
                "export it before starting, or point at a file: { file = \"/run/secrets/...\" }",
            );
        }
        found.map(SecretString::from)
    }

    fn secret_from_file(&self, path: &At<String>, problems: &Problems) -> Option<SecretString> {
        let (bytes, mode) = self.read(path, "secret", problems)?;
        if mode & 0o007 != 0 {
            problems.warning(
                &path.span,
                format!("everybody on this machine can read {}", path.value),
                "chmod 0640 it",
            );
        }
        let text = String::from_utf8(bytes).ok();
        let text = text.map(|text| text.trim_end_matches(['\n', '\r']).to_owned());
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Some(SecretString::from(text)),
            None => {
                problems.error(
                    &path.span,
                    format!("the secret file {} is empty or not text", path.value),
                    "it should hold the secret and nothing else",
                );
                None
            }
        }
    }

    /// A certificate chain.
    pub fn certificate(&self, section: &Section<'_>, key: &'static str) -> Option<At<Vec<u8>>> {
        let path = section.string(key).filter(|_| self.look)?;
        let (bytes, _) = self.read(&path, "certificate", section.problems)?;
        Some(path.map(|_| bytes))
    }

    /// A private key: refused when others may read it.
    pub fn private_key(&self, section: &Section<'_>, key: &'static str) -> Option<At<Vec<u8>>> {
        let path = section.string(key).filter(|_| self.look)?;
        let (bytes, mode) = self.read(&path, "private key", section.problems)?;
        if mode & 0o007 != 0 {
            section.problems.error(
                &path.span,
                format!(
                    "everybody on this machine can read the private key {}",
                    path.value
                ),
                "chmod 0600 it (0640 when a group needs it)",
            );
            return None;
        }
        Some(path.map(|_| bytes))
    }

    fn read(&self, path: &At<String>, what: &str, problems: &Problems) -> Option<(Vec<u8>, u32)> {
        match read_bounded(&self.path(&path.value)) {
            Ok(found) => Some(found),
            Err(error) => {
                problems.error(
                    &path.span,
                    format!("the {what} file {} cannot be read: {error}", path.value),
                    format!(
                        "paths that do not begin with / start at {}",
                        self.base.display()
                    ),
                );
                None
            }
        }
    }
}

fn read_bounded(path: &Path) -> std::io::Result<(Vec<u8>, u32)> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok((std::fs::read(path)?, metadata.permissions().mode()))
}

fn refuse_literal(section: &Section<'_>, key: &str, value: &Spanned<DeValue<'_>>) {
    let span: Span = value.span();
    section.problems.conceal(&span);
    section.problems.error(
        &span,
        format!(
            "`{key}` in {} holds a secret in plain sight",
            section.name()
        ),
        format!(
            "move it out of the file: `{key} = {{ env = \"NAME\" }}` or `{{ file = \"PATH\" }}`"
        ),
    );
}
