//! What the control plane is shown at each new stream: the token as it is then, and the cluster it is from.

use futures::future::BoxFuture;
use sagene_xds::client::RequestMetadata;

use crate::agent::control_plane::ControlPlane;

/// The bearer token and the cluster.
pub(super) struct Credentials {
    control_plane: ControlPlane,
    cluster_id: String,
}

impl Credentials {
    pub(super) fn new(control_plane: ControlPlane, cluster_id: &str) -> Self {
        Self { control_plane, cluster_id: cluster_id.to_owned() }
    }
}

impl RequestMetadata for Credentials {
    fn metadata(&self) -> BoxFuture<'_, std::io::Result<Vec<(String, String)>>> {
        Box::pin(async {
            let mut metadata = vec![("clusterid".to_owned(), self.cluster_id.clone())];
            // Over a plaintext connection nobody asks for a token, and none may be shown.
            if self.control_plane.root.is_some() {
                let token = self.control_plane.token().map_err(std::io::Error::other)?;
                metadata.push(("authorization".to_owned(), format!("Bearer {token}")));
            }
            Ok(metadata)
        })
    }
}
