//! What every kubectl command works with: the cluster, object access, discovery on demand, the namespace.

use tokio::sync::OnceCell;

use crate::context::{Cluster, Context};
use crate::exit::Failure;
use crate::kubernetes::{Discovery, Objects, Resource, kubectl_failure};

/// One run of a kubectl command.
pub(crate) struct Session {
    pub(crate) cluster: Cluster,
    pub(crate) objects: Objects,
    /// Namespace for objects that name none.
    pub(crate) namespace: String,
    /// Whether `-n` was given.
    pub(crate) namespace_given: bool,
    discovery: OnceCell<Discovery>,
}

impl Session {
    pub(crate) async fn open(context: &Context) -> Result<Self, Failure> {
        let cluster = context.cluster().await?;
        Ok(Self {
            objects: Objects::new(cluster.client.clone()),
            namespace: context.namespace(&cluster),
            namespace_given: context.globals.namespace.is_some(),
            cluster,
            discovery: OnceCell::new(),
        })
    }

    /// The server's types, asked once.
    pub(crate) async fn discovery(&self) -> Result<&Discovery, Failure> {
        self.discovery
            .get_or_try_init(|| async {
                Discovery::load(&self.cluster.client).await.map_err(kubectl_failure)
            })
            .await
    }

    /// A type by name, with kubectl's error when there is none.
    pub(crate) async fn resource(&self, name: &str) -> Result<Resource, Failure> {
        let discovery = self.discovery().await?;
        discovery.named(name).cloned().ok_or_else(|| {
            let failure = error(format!("the server doesn't have a resource type \"{name}\""));
            match discovery.near(name) {
                Some(near) => failure.hint(format!("did you mean {near:?}?")),
                None => failure,
            }
        })
    }

    /// The namespace of an object of this type, `None` for cluster-scoped ones.
    pub(crate) fn namespace_for(&self, resource: &Resource) -> Option<&str> {
        resource.namespaced.then_some(self.namespace.as_str())
    }
}

/// An error of the client side: `error: …`.
pub(crate) fn error(message: impl std::fmt::Display) -> Failure {
    Failure { prefix: "error: ", ..Failure::new(message) }
}
