//! What an object holds, from files and from the command line itself.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::super::session::error;
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(super) struct Content {
    /// A file, or every file of a directory; `key=path` names the key, else the file's name is used; may be repeated
    #[arg(long, value_name = "[KEY=]PATH")]
    from_file: Vec<String>,
    /// A key and its value; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    from_literal: Vec<String>,
    /// A file with a key and its value on each line; may be repeated
    #[arg(long, value_name = "PATH")]
    from_env_file: Vec<String>,
}

impl Content {
    /// `data` of a Secret.
    pub(super) fn secret(&self) -> Result<Value, Failure> {
        let encoded = self.entries()?.into_iter().map(|(key, bytes)| (key, json!(STANDARD.encode(bytes))));
        Ok(Value::Object(encoded.collect()))
    }

    /// `data` and, for what is no UTF-8, `binaryData` of a ConfigMap.
    pub(super) fn config_map(&self) -> Result<Value, Failure> {
        let mut body = json!({});
        for (key, bytes) in self.entries()? {
            match String::from_utf8(bytes) {
                Ok(text) => body["data"][key] = json!(text),
                Err(binary) => body["binaryData"][key] = json!(STANDARD.encode(binary.as_bytes())),
            }
        }
        Ok(body)
    }

    fn entries(&self) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let mut entries = BTreeMap::new();
        let mut add = |key: String, bytes: Vec<u8>| match entries.insert(key.clone(), bytes) {
            Some(_) => Err(error(format!("cannot add key {key}, another key by that name already exists"))),
            None => Ok(()),
        };
        for source in &self.from_file {
            let (key, path) = match source.split_once('=') {
                Some((key, path)) => (Some(key), Path::new(path)),
                None => (None, Path::new(source.as_str())),
            };
            if path.is_dir() && key.is_none() {
                for (name, path) in files_of(path)? {
                    add(name, read(&path)?)?;
                }
                continue;
            }
            let name = key.map(str::to_owned).or_else(|| Some(path.file_name()?.to_str()?.to_owned()));
            let name = name.ok_or_else(|| error(format!("{source:?} names no file")))?;
            add(name, read(path)?)?;
        }
        let mut literals = self.from_literal.clone();
        for file in &self.from_env_file {
            let text = String::from_utf8(read(Path::new(file))?)
                .map_err(|problem| error(format!("{file}: {problem}")))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            literals.extend(lines.map(str::to_owned));
        }
        for literal in &literals {
            let pair = literal.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) =
                pair.ok_or_else(|| error(format!("invalid literal source {literal}, expected key=value")))?;
            add(key.to_owned(), value.as_bytes().to_vec())?;
        }
        Ok(entries)
    }
}

/// Whom to be for a registry of images.
#[derive(Debug, Args)]
pub(super) struct Registry {
    /// Address of the registry
    #[arg(long, value_name = "ADDRESS", default_value = "https://index.docker.io/v1/")]
    docker_server: String,
    /// User
    #[arg(long, value_name = "NAME")]
    docker_username: String,
    /// Password
    #[arg(long, value_name = "PASSWORD")]
    docker_password: String,
    /// Mail address
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    docker_email: String,
}

impl Registry {
    /// `data` of a `kubernetes.io/dockerconfigjson` Secret.
    pub(super) fn secret(&self) -> Value {
        let both = STANDARD.encode(format!("{}:{}", self.docker_username, self.docker_password));
        let mut entry =
            json!({"username": self.docker_username, "password": self.docker_password, "auth": both});
        if !self.docker_email.is_empty() {
            entry["email"] = json!(self.docker_email);
        }
        let config = json!({"auths": {self.docker_server.as_str(): entry}});
        json!({".dockerconfigjson": STANDARD.encode(config.to_string())})
    }
}

/// `data` of a `kubernetes.io/tls` Secret; both files are read as what they have to be.
pub(super) fn key_pair(certificate: &Path, key: &Path) -> Result<Value, Failure> {
    let (chain, private) = (read(certificate)?, read(key)?);
    if CertificateDer::pem_slice_iter(&chain).next().and_then(Result::ok).is_none() {
        return Err(error(format!("{} holds no PEM certificate", certificate.display())));
    }
    if PrivateKeyDer::from_pem_slice(&private).is_err() {
        return Err(error(format!("{} holds no PEM private key", key.display())));
    }
    Ok(json!({"tls.crt": STANDARD.encode(chain), "tls.key": STANDARD.encode(private)}))
}

fn files_of(directory: &Path) -> Result<Vec<(String, std::path::PathBuf)>, Failure> {
    let refused = |problem: std::io::Error| error(format!("{}: {problem}", directory.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        if entry.path().is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|problem| error(format!("{}: {problem}", path.display())))
}
