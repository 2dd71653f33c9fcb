//! Service: a name and virtual IP in front of pods.

use super::IntOrString;
use super::pod::PodCondition;
use crate::SortedMap;

shape! {
    /// What a Service offers.
    #[derive(Eq)]
    pub struct Service {
        /// `ClusterIP` (also when empty), `NodePort`, `LoadBalancer` or `ExternalName`.
        pub r#type: String,
        /// Labels of the pods behind it.
        pub selector: SortedMap<String, String>,
        /// Ports.
        pub ports: Vec<ServicePort>,
        /// Virtual IP; `None` for headless services.
        #[shape(name = "clusterIP")]
        pub cluster_ip: String,
        /// Virtual IPs of all families.
        #[shape(name = "clusterIPs")]
        pub cluster_ips: Vec<String>,
        /// Name an `ExternalName` service stands for.
        pub external_name: String,
        /// Further IPs routed to the nodes.
        #[shape(name = "externalIPs")]
        pub external_ips: Vec<String>,
        /// `Cluster` or `Local`.
        pub external_traffic_policy: String,
        /// `Cluster` or `Local`.
        pub internal_traffic_policy: String,
        /// `PreferClose`, `PreferSameZone` or `PreferSameNode`.
        pub traffic_distribution: String,
        /// Whether pods that are not ready are listed.
        pub publish_not_ready_addresses: bool,
        /// `None` or `ClientIP`.
        pub session_affinity: String,
        /// Requested IP of the load balancer.
        #[shape(name = "loadBalancerIP")]
        pub load_balancer_ip: String,
        /// `IPv4` and `IPv6`.
        pub ip_families: Vec<String>,
    }

    /// A port of a Service.
    #[derive(Eq)]
    pub struct ServicePort {
        /// Name; may be empty where there is only one port.
        pub name: String,
        /// Number.
        pub port: u16,
        /// Port of the pods; absent means the same number.
        pub target_port: Option<IntOrString>,
        /// Port on every node; zero means none.
        pub node_port: u16,
        /// `TCP` (also when empty), `UDP` or `SCTP`.
        pub protocol: String,
        /// Application protocol.
        pub app_protocol: String,
    }

    /// What was observed.
    #[derive(Eq)]
    pub struct ServiceStatus {
        /// Addresses of the load balancer.
        pub load_balancer: LoadBalancerStatus,
        /// What controllers say about it.
        pub conditions: Vec<PodCondition>,
    }

    /// Addresses of a load balancer.
    #[derive(Eq)]
    pub struct LoadBalancerStatus {
        /// One entry per address.
        pub ingress: Vec<LoadBalancerIngress>,
    }

    /// An address of a load balancer.
    #[derive(Eq)]
    pub struct LoadBalancerIngress {
        /// By IP.
        pub ip: String,
        /// By name.
        pub hostname: String,
    }
}

resource!(Service, "", "Service", "services", true, ["v1"], status = ServiceStatus);
