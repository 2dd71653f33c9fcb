//! `kubectl create`: objects from manifests or from the command line itself, and tokens of service accounts.

mod access;
mod literal;
mod making;
mod token;
mod workload;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::manifests;
use super::session::{Session, error};
use super::target::mapping;
use crate::exit::{Exit, Outcome};
use crate::files;
use crate::kubernetes::{Resource, kubectl_failure_while, text};
use literal::Content;
pub(super) use making::Making;

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Manifest, directory or - for stdin; may be repeated
    #[arg(short, long = "filename", value_name = "FILE")]
    filename: Vec<String>,
    /// Read directories with their subdirectories
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    making: Making,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A namespace
    #[command(alias = "ns")]
    Namespace(Named),
    /// A secret: generic, tls, docker-registry
    #[command(subcommand)]
    Secret(SecretKind),
    /// A config map
    #[command(alias = "cm")]
    Configmap {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        content: Content,
    },
    /// A service account
    #[command(alias = "sa")]
    Serviceaccount(Named),
    /// A deployment of images
    #[command(alias = "deploy")]
    Deployment {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        images: workload::Images,
    },
    /// A service: clusterip, nodeport, loadbalancer, externalname
    #[command(subcommand, alias = "svc")]
    Service(workload::Service),
    /// A token of a service account, printed
    Token(token::Token),
    /// A role: what may be done in a namespace
    Role(access::Role),
    /// A cluster role: what may be done in all namespaces, or with what is in none
    Clusterrole(access::ClusterRole),
    /// A role binding: who has the rights of a role in a namespace
    Rolebinding(access::RoleBinding),
    /// A cluster role binding: who has the rights of a cluster role everywhere
    Clusterrolebinding(access::ClusterRoleBinding),
}

#[derive(Debug, Subcommand)]
enum SecretKind {
    /// A secret of files and literal values
    Generic {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        content: Content,
        /// Type of the secret
        #[arg(long = "type", value_name = "TYPE", default_value = "Opaque")]
        kind: String,
    },
    /// A secret with a certificate and its key
    Tls {
        #[command(flatten)]
        named: Named,
        /// File with the certificate chain, PEM
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// File with the private key, PEM
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// A secret for pulling images
    DockerRegistry {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        registry: literal::Registry,
    },
}

/// What every object made from the command line has.
#[derive(Debug, Args)]
struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    making: Making,
}

impl Create {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        match &self.what {
            Some(what) => what.create(session).await,
            None if self.filename.is_empty() => {
                Err(error("must specify one of -f or a resource type, such as namespace"))
            }
            None => self.files(session).await,
        }
    }

    async fn files(&self, session: &Session) -> Outcome {
        let mut created = 0usize;
        for name in &self.filename {
            for input in manifests::read(session, name, self.recursive).await? {
                for mut object in files::documents(&input)? {
                    let resource = mapping(session, &object, &input.name).await?;
                    if resource.namespaced && text(&object, "/metadata/namespace").is_empty() {
                        object["metadata"]["namespace"] = json!(session.namespace);
                    }
                    let while_creating = format!("error when creating \"{}\"", input.name);
                    let failed = |failure| kubectl_failure_while(failure, &while_creating);
                    self.making.create_as_it_is(session, &resource, object, "created", failed).await?;
                    created += 1;
                }
            }
        }
        if created == 0 { Err(error("no objects passed to create")) } else { Ok(Exit::Success) }
    }
}

impl What {
    async fn create(&self, session: &Session) -> Outcome {
        match self {
            Self::Namespace(named) => {
                named.create(session, Resource::namespaces(), "Namespace", json!({})).await
            }
            Self::Serviceaccount(named) => {
                let resource = Resource::known("", "v1", "ServiceAccount", "serviceaccounts", true);
                named.create(session, resource, "ServiceAccount", json!({})).await
            }
            Self::Configmap { named, content } => {
                let resource = Resource::known("", "v1", "ConfigMap", "configmaps", true);
                named.create(session, resource, "ConfigMap", content.config_map()?).await
            }
            Self::Secret(secret) => secret.create(session).await,
            Self::Deployment { named, images } => {
                let resource = Resource::known("apps", "v1", "Deployment", "deployments", true);
                let object = images.object(&named.name)?;
                named.making.create(session, &resource, object, "created").await?;
                Ok(Exit::Success)
            }
            Self::Service(service) => {
                service.making().create(session, &Resource::services(), service.object()?, "created").await?;
                Ok(Exit::Success)
            }
            Self::Token(token) => token.create(session).await,
            Self::Role(role) => role.create(session).await,
            Self::Clusterrole(role) => role.create(session).await,
            Self::Rolebinding(binding) => binding.create(session).await,
            Self::Clusterrolebinding(binding) => binding.create(session).await,
        }
    }
}

impl SecretKind {
    async fn create(&self, session: &Session) -> Outcome {
        let resource = Resource::known("", "v1", "Secret", "secrets", true);
        let (named, body) = match self {
            Self::Generic { named, content, kind } => {
                (named, json!({"type": kind, "data": content.secret()?}))
            }
            Self::Tls { named, cert, key } => {
                (named, json!({"type": "kubernetes.io/tls", "data": literal::key_pair(cert, key)?}))
            }
            Self::DockerRegistry { named, registry } => {
                (named, json!({"type": "kubernetes.io/dockerconfigjson", "data": registry.secret()}))
            }
        };
        named.create(session, resource, "Secret", body).await
    }
}

impl Named {
    async fn create(&self, session: &Session, resource: Resource, kind: &str, body: Value) -> Outcome {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": self.name}});
        for (key, value) in body.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        self.making.create(session, &resource, object, "created").await?;
        Ok(Exit::Success)
    }
}
