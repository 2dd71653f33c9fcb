//! The mesh's authority as all replicas share it: plugged in as Secret `cacerts`, else self-signed once into `istio-ca-secret`.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use sagene_identity::{
    authority::{AuthorityError, CertificateAuthority, self_signed},
    material::{AuthorityMaterial, PLUGGED_IN_SECRET, SELF_SIGNED_SECRET, SELF_SIGNED_SECRET_TYPE},
};
use thiserror::Error;
use tracing::info;

use crate::options::ControlPlaneOptions;

/// Where a plugged-in authority may be mounted.
const MOUNT: &str = "/etc/cacerts";

/// Why there is no authority.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The API server refused or failed.
    #[error("cannot {action} Secret {secret}")]
    Api {
        /// `read` or `create`.
        action: &'static str,
        /// Which.
        secret: &'static str,
        /// The client's words.
        #[source]
        source: kube::Error,
    },
    /// The Secret lacks an entry.
    #[error("{place} has no entry {missing}")]
    Incomplete {
        /// Which.
        place: String,
        /// The entry.
        missing: &'static str,
    },
    /// The material is of no use.
    #[error("{place} cannot be used")]
    Unusable {
        /// Where it came from.
        place: String,
        /// What is wrong.
        #[source]
        source: AuthorityError,
    },
}

/// Loads the authority, or makes and stores it.
pub(crate) async fn load(
    client: &Client,
    options: &ControlPlaneOptions,
    trust_domain: &str,
) -> Result<Arc<CertificateAuthority>, LoadError> {
    let (material, place) = match mounted().await {
        Some(entries) => (read(&entries, MOUNT)?, MOUNT.to_owned()),
        None => from_secrets(client, options, trust_domain).await?,
    };
    let authority = CertificateAuthority::new(material, options.lifetimes)
        .map_err(|source| LoadError::Unusable { place: place.clone(), source })?;
    info!(%place, "certificate authority in force");
    Ok(Arc::new(authority))
}

async fn from_secrets(
    client: &Client,
    options: &ControlPlaneOptions,
    trust_domain: &str,
) -> Result<(AuthorityMaterial, String), LoadError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &options.namespace);
    for name in [PLUGGED_IN_SECRET, SELF_SIGNED_SECRET] {
        if let Some(entries) = get(&secrets, name).await? {
            return Ok((read(&entries, name)?, format!("Secret {}/{name}", options.namespace)));
        }
    }
    let material = self_signed(trust_domain, options.root_lifetime)
        .map_err(|source| LoadError::Unusable { place: "the new self-signed root".to_owned(), source })?;
    let place = format!("Secret {}/{SELF_SIGNED_SECRET}", options.namespace);
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SELF_SIGNED_SECRET.to_owned()), ..ObjectMeta::default() },
        type_: Some(SELF_SIGNED_SECRET_TYPE.to_owned()),
        data: Some(material.to_entries().into_iter().map(|(name, text)| (name, ByteString(text))).collect()),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok((material, place)),
        // Another replica was faster: its root is the mesh's.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let entries = get(&secrets, SELF_SIGNED_SECRET).await?.unwrap_or_default();
            Ok((read(&entries, SELF_SIGNED_SECRET)?, place))
        }
        Err(source) => Err(LoadError::Api { action: "create", secret: SELF_SIGNED_SECRET, source }),
    }
}

async fn get(
    secrets: &Api<Secret>,
    name: &'static str,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, LoadError> {
    let found = secrets.get_opt(name).await.map_err(|source| LoadError::Api {
        action: "read",
        secret: name,
        source,
    })?;
    let data = found.map(|secret| secret.data.unwrap_or_default());
    Ok(data.map(|data| data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect()))
}

fn read(entries: &BTreeMap<String, Vec<u8>>, place: &str) -> Result<AuthorityMaterial, LoadError> {
    AuthorityMaterial::from_entries(entries)
        .map_err(|missing| LoadError::Incomplete { place: place.to_owned(), missing })
}

/// The files of the mount; `None` where nothing is mounted.
async fn mounted() -> Option<BTreeMap<String, Vec<u8>>> {
    let mut directory = tokio::fs::read_dir(MOUNT).await.ok()?;
    let mut entries = BTreeMap::new();
    while let Ok(Some(entry)) = directory.next_entry().await {
        if let (Ok(name), Ok(bytes)) = (entry.file_name().into_string(), tokio::fs::read(entry.path()).await)
        {
            entries.insert(name, bytes);
        }
    }
    (!entries.is_empty()).then_some(entries)
}
