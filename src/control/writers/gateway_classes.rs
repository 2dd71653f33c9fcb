//! The classes that Gateways may name, made as soon as the cluster has the Gateway API.

use std::time::Duration;

use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tracing::{debug, info};

use super::leader::Leadership;

const MANAGER: &str = "istio.io/gateway-controller";
/// Name, controller and description.
const CLASSES: [(&str, &str, &str); 2] = [
    ("istio", "istio.io/gateway-controller", "The default Istio GatewayClass"),
    (
        "istio-remote",
        "istio.io/unmanaged-gateway",
        "Remote to this cluster. Does not deploy or affect configuration.",
    ),
];
/// Between looks whether the Gateway API is there by now.
const PERIOD: Duration = Duration::from_secs(5);

/// Makes the classes once; what somebody changes about them afterwards stays.
pub(crate) async fn make(client: Client, leadership: Leadership) {
    let resource = ApiResource {
        group: "gateway.networking.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "gateway.networking.k8s.io/v1".to_owned(),
        kind: "GatewayClass".to_owned(),
        plural: "gatewayclasses".to_owned(),
    };
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    loop {
        if leadership.is_leader() {
            match make_all(&api).await {
                Ok(()) => {
                    info!("gateway classes made");
                    // Nothing more to do, for as long as the process lives.
                    std::future::pending::<()>().await;
                }
                Err(error) => debug!(%error, "gateway classes not made"),
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn make_all(api: &Api<DynamicObject>) -> Result<(), kube::Error> {
    for (name, controller, description) in CLASSES {
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": name},
            "spec": {"controllerName": controller, "description": description},
        });
        api.patch(name, &PatchParams::apply(MANAGER), &Patch::Apply(&class)).await?;
    }
    Ok(())
}
