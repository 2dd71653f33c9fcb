//! Files of volumes whose content comes from the API: configMap, secret, downwardAPI, projected.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::VolumeError;
use super::token::TokenCache;
use crate::api_client::{ApiClient, ResourceRef};
use crate::node::field_value::{self, FieldAddresses};
use crate::node::pod_spec::{
    ConfigMapVolume, Container, DownwardItem, KeyToPath, PodSpec, ProjectedSource, SecretVolume, Volume,
};

/// Relative path → mode and content.
pub(super) type Files = BTreeMap<String, (u32, Vec<u8>)>;

const DEFAULT_MODE: u32 = 0o644;

/// What contents are made from.
pub(super) struct ContentSource<'a> {
    pub(super) api: &'a ApiClient,
    pub(super) pod: &'a Value,
    pub(super) spec: &'a PodSpec,
    pub(super) addresses: FieldAddresses,
    pub(super) tokens: &'a mut TokenCache,
}

/// The files of a volume; `None` for volumes whose content is the containers' affair.
pub(super) async fn of(
    volume: &Volume,
    source: &mut ContentSource<'_>,
) -> Result<Option<Files>, VolumeError> {
    let mut files = Files::new();
    if let Some(config_map) = &volume.config_map {
        add_config_map(config_map, config_map.default_mode, source, &mut files).await?;
    } else if let Some(secret) = &volume.secret {
        add_secret(secret, secret.default_mode, source, &mut files).await?;
    } else if let Some(downward) = &volume.downward_api {
        add_fields(&downward.items, downward.default_mode, source, &mut files)?;
    } else if let Some(projected) = &volume.projected {
        for part in &projected.sources {
            add_projected(part, projected.default_mode, source, &mut files).await?;
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

async fn add_projected(
    part: &ProjectedSource,
    mode: Option<u32>,
    source: &mut ContentSource<'_>,
    files: &mut Files,
) -> Result<(), VolumeError> {
    if let Some(token) = &part.service_account_token {
        let text = source.tokens.token(source.api, source.pod, token).await?;
        add(files, &token.path, mode, text.into_bytes())?;
    }
    if let Some(config_map) = &part.config_map {
        add_config_map(config_map, mode, source, files).await?;
    }
    if let Some(secret) = &part.secret {
        add_secret(secret, mode, source, files).await?;
    }
    if let Some(downward) = &part.downward_api {
        add_fields(&downward.items, mode, source, files)?;
    }
    Ok(())
}

async fn add_config_map(
    volume: &ConfigMapVolume,
    mode: Option<u32>,
    source: &ContentSource<'_>,
    files: &mut Files,
) -> Result<(), VolumeError> {
    let Some(object) = read(source, "configmap", &volume.name, volume.optional).await? else { return Ok(()) };
    let text = object["data"].as_object().into_iter().flatten();
    let mut data: BTreeMap<&str, Vec<u8>> =
        text.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or("").as_bytes().to_vec())).collect();
    data.extend(decoded(&object["binaryData"]));
    add_keys(files, "configmap", &volume.name, data, &volume.items, mode, volume.optional)
}

async fn add_secret(
    volume: &SecretVolume,
    mode: Option<u32>,
    source: &ContentSource<'_>,
    files: &mut Files,
) -> Result<(), VolumeError> {
    let Some(object) = read(source, "secret", &volume.secret_name, volume.optional).await? else {
        return Ok(());
    };
    let data = decoded(&object["data"]).collect();
    add_keys(files, "secret", &volume.secret_name, data, &volume.items, mode, volume.optional)
}

fn decoded(data: &Value) -> impl Iterator<Item = (&str, Vec<u8>)> {
    let entries = data.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.as_str(), STANDARD.decode(value.as_str()?).ok()?)))
}

async fn read(
    source: &ContentSource<'_>,
    kind: &'static str,
    name: &str,
    optional: bool,
) -> Result<Option<Arc<Value>>, VolumeError> {
    let resource = if kind == "secret" { &ResourceRef::SECRETS } else { &ResourceRef::CONFIG_MAPS };
    let namespace = source.pod["metadata"]["namespace"].as_str().unwrap_or("default");
    match source.api.get(resource, namespace, name).await {
        Ok(object) => Ok(Some(object)),
        Err(_) if optional => Ok(None),
        Err(_) => Err(VolumeError::ObjectMissing { kind, name: name.to_owned() }),
    }
}

fn add_keys(
    files: &mut Files,
    kind: &'static str,
    name: &str,
    mut data: BTreeMap<&str, Vec<u8>>,
    items: &[KeyToPath],
    mode: Option<u32>,
    optional: bool,
) -> Result<(), VolumeError> {
    if items.is_empty() {
        return data.into_iter().try_for_each(|(key, content)| add(files, key, mode, content));
    }
    for item in items {
        match data.remove(item.key.as_str()) {
            Some(content) => add(files, &item.path, item.mode.or(mode), content)?,
            None if optional => {}
            None => {
                return Err(VolumeError::KeyMissing { kind, name: name.to_owned(), key: item.key.clone() });
            }
        }
    }
    Ok(())
}

fn add_fields(
    items: &[DownwardItem],
    mode: Option<u32>,
    source: &ContentSource<'_>,
    files: &mut Files,
) -> Result<(), VolumeError> {
    for item in items {
        let (path, value) = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => {
                let path = field.field_path.as_str();
                (path, field_value::field(source.pod, source.addresses, path))
            }
            (None, Some(resource)) => {
                let (container, path) = (resource.container_name.as_str(), resource.resource.as_str());
                let value = field_value::resource(
                    source.spec,
                    &Container::default(),
                    container,
                    path,
                    &resource.divisor,
                );
                (path, value)
            }
            (None, None) => continue,
        };
        let value = value.ok_or_else(|| VolumeError::UnknownField(path.to_owned()))?;
        add(files, &item.path, item.mode.or(mode), value.into_bytes())?;
    }
    Ok(())
}

fn add(files: &mut Files, path: &str, mode: Option<u32>, content: Vec<u8>) -> Result<(), VolumeError> {
    let inside =
        !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || path.starts_with("..") {
        return Err(VolumeError::BadPath(path.to_owned()));
    }
    files.insert(path.to_owned(), (mode.unwrap_or(DEFAULT_MODE), content));
    Ok(())
}
