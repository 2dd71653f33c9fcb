//! Ingress: HTTP routes at the edge, in Kubernetes' older way.

use super::service::LoadBalancerStatus;

shape! {
    /// Routes.
    #[derive(Eq)]
    pub struct Ingress {
        /// Name of the IngressClass.
        pub ingress_class_name: String,
        /// Where traffic goes that no rule matches.
        pub default_backend: Option<IngressBackend>,
        /// Certificates.
        pub tls: Vec<IngressTls>,
        /// Routes by host.
        pub rules: Vec<IngressRule>,
    }

    /// A certificate and the hosts it is for.
    #[derive(Eq)]
    pub struct IngressTls {
        /// Hosts.
        pub hosts: Vec<String>,
        /// Secret with the certificate.
        pub secret_name: String,
    }

    /// Routes of one host.
    #[derive(Eq)]
    pub struct IngressRule {
        /// Host; empty means all.
        pub host: String,
        /// Routes.
        pub http: Option<HttpIngressRuleValue>,
    }

    /// Routes by path.
    #[derive(Eq)]
    pub struct HttpIngressRuleValue {
        /// The routes.
        pub paths: Vec<HttpIngressPath>,
    }

    /// A route.
    #[derive(Eq)]
    pub struct HttpIngressPath {
        /// Path.
        pub path: String,
        /// `Exact`, `Prefix` or `ImplementationSpecific`.
        pub path_type: String,
        /// Where to.
        pub backend: IngressBackend,
    }

    /// Where traffic goes.
    #[derive(Eq)]
    pub struct IngressBackend {
        /// A Service.
        pub service: Option<IngressServiceBackend>,
    }

    /// A Service and its port.
    #[derive(Eq)]
    pub struct IngressServiceBackend {
        /// Name.
        pub name: String,
        /// Port.
        pub port: ServiceBackendPort,
    }

    /// A port by name or number.
    #[derive(Eq)]
    pub struct ServiceBackendPort {
        /// By name.
        pub name: String,
        /// By number; zero where a name is given.
        pub number: u16,
    }

    /// What was observed.
    #[derive(Eq)]
    pub struct IngressStatus {
        /// Addresses of the edge.
        pub load_balancer: LoadBalancerStatus,
    }
}

resource!(Ingress, "networking.k8s.io", "Ingress", "ingresses", true, ["v1"], status = IngressStatus);
