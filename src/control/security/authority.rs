//! The mesh's authority as all replicas share it: plugged in as Secret `cacerts`, else self-signed once into `istio-ca-secret`.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};
use sagene_identity::{
    authority::{AuthorityError, CertificateAuthority, self_signed, split_pem},
    material::{AuthorityMaterial, PLUGGED_IN_SECRET, SELF_SIGNED_SECRET, SELF_SIGNED_SECRET_TYPE},
    succession::{RetiredRoot, Succession, Terms, certificates},
};
use thiserror::Error;
use tracing::info;

use crate::{
    options::ControlPlaneOptions,
    writers::root_certificates::{RETIRED_UNTIL, ROOT_CONFIG_MAP, ROOT_KEY},
};

/// Where a plugged-in authority may be mounted.
const MOUNT: &str = "/etc/cacerts";

/// Why there is no authority.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The API server refused or failed.
    #[error("cannot {action} {object}")]
    Api {
        /// `read` or `create`.
        action: &'static str,
        /// Kind and name.
        object: String,
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

/// Entries of a Secret, or files of a directory, by name.
pub(crate) type Entries = BTreeMap<String, Vec<u8>>;

/// Material that was found, not looked into.
pub(crate) struct Found {
    pub(crate) entries: Entries,
    /// Where, for messages.
    pub(crate) place: String,
    /// Whether somebody put it there, and not this control plane.
    pub(crate) plugged_in: bool,
}

/// Loads the authority, or makes and stores it; and whether it was plugged in.
pub(crate) async fn load(
    client: &Client,
    options: &ControlPlaneOptions,
    trust_domain: &str,
) -> Result<(Succession, bool), LoadError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &options.namespace);
    let plugged_in = match get(&secrets, PLUGGED_IN_SECRET).await? {
        Some(found) => Some(found),
        None => mounted().await,
    };
    let found = match plugged_in {
        Some(found) => found,
        None => match get(&secrets, SELF_SIGNED_SECRET).await? {
            Some(found) => found,
            None => new_root(&secrets, options, trust_domain).await?,
        },
    };
    let authority = make(&found, options)?;
    info!(place = %found.place, "certificate authority in force");
    let retired = retired_roots(client, options, &authority).await?;
    let terms = Terms { announcement: options.announcement, retirement: options.lifetimes.default };
    Ok((Succession::new(authority, retired, terms), found.plugged_in))
}

/// An authority of what was found.
pub(crate) fn make(found: &Found, options: &ControlPlaneOptions) -> Result<CertificateAuthority, LoadError> {
    let place = || found.place.clone();
    let material = AuthorityMaterial::from_entries(&found.entries)
        .map_err(|missing| LoadError::Incomplete { place: place(), missing })?;
    CertificateAuthority::new(material, options.lifetimes)
        .map_err(|source| LoadError::Unusable { place: place(), source })
}

async fn new_root(
    secrets: &Api<Secret>,
    options: &ControlPlaneOptions,
    trust_domain: &str,
) -> Result<Found, LoadError> {
    let material = self_signed(trust_domain, options.root_lifetime)
        .map_err(|source| LoadError::Unusable { place: "the new self-signed root".to_owned(), source })?;
    let entries = material.to_entries();
    let data = entries.iter().map(|(name, text)| (name.clone(), ByteString(text.clone()))).collect();
    let secret = Secret {
        metadata: ObjectMeta { name: Some(SELF_SIGNED_SECRET.to_owned()), ..ObjectMeta::default() },
        type_: Some(SELF_SIGNED_SECRET_TYPE.to_owned()),
        data: Some(data),
        ..Secret::default()
    };
    let place = format!("Secret {}/{SELF_SIGNED_SECRET}", options.namespace);
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(Found { entries, place, plugged_in: false }),
        // Another replica was faster: its root is the mesh's.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let found = get(secrets, SELF_SIGNED_SECRET).await?;
            Ok(found.unwrap_or(Found { entries: Entries::new(), place, plugged_in: false }))
        }
        Err(source) => Err(LoadError::Api { action: "create", object: place, source }),
    }
}

async fn get(secrets: &Api<Secret>, name: &'static str) -> Result<Option<Found>, LoadError> {
    let place = format!("Secret {name}");
    let found = secrets.get_opt(name).await.map_err(|source| LoadError::Api {
        action: "read",
        object: place.clone(),
        source,
    })?;
    let entries =
        |data: BTreeMap<String, ByteString>| data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
    Ok(found.map(|secret| Found {
        entries: entries(secret.data.unwrap_or_default()),
        place,
        plugged_in: name == PLUGGED_IN_SECRET,
    }))
}

/// Roots that were trusted when the last control plane ended and that this authority does not name. Those of an authority that has nothing in
/// common with this one stay trusted while certificates from below them may live; others go when they were to go.
async fn retired_roots(
    client: &Client,
    options: &ControlPlaneOptions,
    authority: &CertificateAuthority,
) -> Result<Vec<RetiredRoot>, LoadError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &options.namespace);
    let map = maps.get_opt(ROOT_CONFIG_MAP).await.map_err(|source| LoadError::Api {
        action: "read",
        object: format!("ConfigMap {ROOT_CONFIG_MAP}"),
        source,
    })?;
    let Some(map) = map else { return Ok(Vec::new()) };
    let trusted = map.data.as_ref().and_then(|data| data.get(ROOT_KEY)).map_or("", String::as_str);
    let annotations = map.metadata.annotations.unwrap_or_default();
    let until = annotations.get(RETIRED_UNTIL).and_then(|until| until.parse::<jiff::Timestamp>().ok());
    let now = SystemTime::now();
    let own = certificates(authority.root());
    let until = match until {
        Some(until) => SystemTime::from(until),
        None if certificates(trusted).is_disjoint(&own) => now + options.lifetimes.default,
        None => now,
    };
    // Whatever an annotation says, no leaf lives longer.
    let until = until.min(now + options.lifetimes.max.max(Duration::from_secs(1)));
    let strangers = split_pem(trusted).into_iter().filter(|root| certificates(root).is_disjoint(&own));
    Ok(strangers.filter(|_| until > now).map(|pem| RetiredRoot { pem, until }).collect())
}

/// The files of the mount; `None` where nothing is mounted.
pub(crate) async fn mounted() -> Option<Found> {
    let mut directory = tokio::fs::read_dir(MOUNT).await.ok()?;
    let mut entries = Entries::new();
    while let Ok(Some(entry)) = directory.next_entry().await {
        if let (Ok(name), Ok(bytes)) = (entry.file_name().into_string(), tokio::fs::read(entry.path()).await)
        {
            entries.insert(name, bytes);
        }
    }
    (!entries.is_empty()).then(|| Found { entries, place: MOUNT.to_owned(), plugged_in: true })
}
