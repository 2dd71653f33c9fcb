//! IstioOperator: what `install` reads. It is a file format; the cluster has no such resource any more.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

shape! {
    /// What is to be installed.
    pub struct IstioOperator {
        /// Profile to start from; empty means `default`.
        pub profile: String,
        /// Folder or archive of charts; empty means those in the binary.
        pub install_package_path: String,
        /// Registry of images.
        pub hub: String,
        /// Tag of images: text or a number.
        pub tag: Option<Value>,
        /// Namespace of the control plane; empty means `istio-system`.
        pub namespace: String,
        /// Revision of the control plane.
        pub revision: String,
        /// Version whose behavior is kept.
        pub compatibility_version: String,
        /// Settings of the mesh, as far as they are set.
        pub mesh_config: Map<String, Value>,
        /// Parts that are installed.
        pub components: IstioComponents,
        /// Values of the charts.
        pub values: Map<String, Value>,
        /// Values of the charts that are not checked.
        pub unvalidated_values: Map<String, Value>,
    }

    /// Parts that are installed.
    pub struct IstioComponents {
        /// Resources of the whole cluster.
        pub base: Option<Component>,
        /// The control plane.
        pub pilot: Option<Component>,
        /// The network plugin.
        pub cni: Option<Component>,
        /// The node proxy.
        pub ztunnel: Option<Component>,
        /// A control plane in another cluster.
        pub istiod_remote: Option<Component>,
        /// Gateways into the mesh.
        pub ingress_gateways: Vec<GatewayComponent>,
        /// Gateways out of the mesh.
        pub egress_gateways: Vec<GatewayComponent>,
    }

    /// A part.
    pub struct Component {
        /// Whether it is installed; absent means as the profile says.
        pub enabled: Option<bool>,
        /// Its namespace; empty means that of the control plane.
        pub namespace: String,
        /// Its registry of images.
        pub hub: String,
        /// Its tag of images.
        pub tag: Option<Value>,
        /// Changes of its Kubernetes objects.
        pub k8s: Option<KubernetesResources>,
    }

    /// A gateway.
    pub struct GatewayComponent {
        /// Its name.
        pub name: String,
        /// Whether it is installed; absent means as the profile says.
        pub enabled: Option<bool>,
        /// Its namespace; empty means that of the control plane.
        pub namespace: String,
        /// Labels of its pods.
        pub label: BTreeMap<String, String>,
        /// Its registry of images.
        pub hub: String,
        /// Its tag of images.
        pub tag: Option<Value>,
        /// Changes of its Kubernetes objects.
        pub k8s: Option<KubernetesResources>,
    }

    /// Changes of Kubernetes objects, in Kubernetes' own shapes.
    pub struct KubernetesResources {
        /// Affinity of pods.
        pub affinity: Option<Value>,
        /// Environment of containers.
        pub env: Vec<Value>,
        /// Spec of the autoscaler.
        pub hpa_spec: Option<Value>,
        /// Pull policy of images.
        pub image_pull_policy: String,
        /// Node selector of pods.
        pub node_selector: BTreeMap<String, String>,
        /// Spec of the disruption budget.
        pub pod_disruption_budget: Option<Value>,
        /// Annotations of pods.
        pub pod_annotations: BTreeMap<String, String>,
        /// Priority of pods.
        pub priority_class_name: String,
        /// Readiness probe of containers.
        pub readiness_probe: Option<Value>,
        /// Number of pods.
        pub replica_count: Option<u32>,
        /// Resources of containers.
        pub resources: Option<Value>,
        /// Spec of the Service.
        pub service: Option<Value>,
        /// Annotations of the Service.
        pub service_annotations: BTreeMap<String, String>,
        /// Strategy of the Deployment.
        pub strategy: Option<Value>,
        /// Tolerations of pods.
        pub tolerations: Vec<Value>,
        /// Security context of pods.
        pub security_context: Option<Value>,
        /// Volumes of pods.
        pub volumes: Vec<Value>,
        /// Volume mounts of containers.
        pub volume_mounts: Vec<Value>,
        /// Changes of any object by path.
        pub overlays: Vec<K8sObjectOverlay>,
    }

    /// Changes of one object.
    pub struct K8sObjectOverlay {
        /// Its apiVersion.
        pub api_version: String,
        /// Its kind.
        pub kind: String,
        /// Its name.
        pub name: String,
        /// The changes.
        pub patches: Vec<K8sObjectOverlayPatch>,
    }

    /// One change.
    pub struct K8sObjectOverlayPatch {
        /// Where, such as `spec.template.spec.containers.[name:discovery].args.[-1]`.
        pub path: String,
        /// The new value; absent removes.
        pub value: Option<Value>,
    }
}

resource!(IstioOperator, "install.istio.io", "IstioOperator", "istiooperators", true, ["v1alpha1"]);
