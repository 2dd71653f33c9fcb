//! Pod: containers that share an address.

use std::collections::BTreeMap;

use super::IntOrString;

shape! {
    /// What a pod runs.
    #[derive(Eq)]
    pub struct Pod {
        /// Containers.
        pub containers: Vec<Container>,
        /// Containers that run before, or (restartPolicy `Always`) beside them.
        pub init_containers: Vec<Container>,
        /// Service account; empty means `default`.
        pub service_account_name: String,
        /// Node it was assigned to.
        pub node_name: String,
        /// Whether it shares the node's network.
        pub host_network: bool,
        /// Host name within its subdomain.
        pub hostname: String,
        /// Headless service that names it.
        pub subdomain: String,
        /// `Always`, `OnFailure` or `Never`.
        pub restart_policy: String,
        /// Seconds between the request to end and the end by force.
        pub termination_grace_period_seconds: Option<i64>,
        /// Identity of all containers.
        pub security_context: Option<SecurityContext>,
    }

    /// A container.
    #[derive(Eq)]
    pub struct Container {
        /// Name.
        pub name: String,
        /// Image.
        pub image: String,
        /// Program and its first arguments.
        pub command: Vec<String>,
        /// Further arguments.
        pub args: Vec<String>,
        /// Declared ports.
        pub ports: Vec<ContainerPort>,
        /// Environment.
        pub env: Vec<EnvVar>,
        /// `Always` makes an init container a sidecar.
        pub restart_policy: String,
        /// Whether it takes traffic.
        pub readiness_probe: Option<Probe>,
        /// Whether it must be restarted.
        pub liveness_probe: Option<Probe>,
        /// Whether it has started.
        pub startup_probe: Option<Probe>,
        /// Identity.
        pub security_context: Option<SecurityContext>,
    }

    /// A declared port.
    #[derive(Eq)]
    pub struct ContainerPort {
        /// Name.
        pub name: String,
        /// Number.
        pub container_port: u16,
        /// `TCP` (also when empty), `UDP` or `SCTP`.
        pub protocol: String,
    }

    /// A variable of the environment; values from elsewhere are left out.
    #[derive(Eq)]
    pub struct EnvVar {
        /// Name.
        pub name: String,
        /// Value.
        pub value: String,
    }

    /// A check of a container.
    #[derive(Eq)]
    pub struct Probe {
        /// By an HTTP request.
        pub http_get: Option<HttpGetAction>,
        /// By a TCP connection.
        pub tcp_socket: Option<TcpSocketAction>,
        /// By gRPC's health service.
        pub grpc: Option<GrpcAction>,
        /// By a command.
        pub exec: Option<ExecAction>,
        /// Seconds allowed; zero means 1.
        pub timeout_seconds: i32,
        /// Seconds between checks; zero means 10.
        pub period_seconds: i32,
        /// Seconds until the first check.
        pub initial_delay_seconds: i32,
        /// Failures in a row until unhealthy; zero means 3.
        pub failure_threshold: i32,
        /// Successes in a row until healthy; zero means 1.
        pub success_threshold: i32,
    }

    /// A check by HTTP.
    #[derive(Eq)]
    pub struct HttpGetAction {
        /// Path.
        pub path: String,
        /// Port.
        pub port: Option<IntOrString>,
        /// Host; empty means the pod's IP.
        pub host: String,
        /// `HTTP` (also when empty) or `HTTPS`.
        pub scheme: String,
        /// Headers to send.
        pub http_headers: Vec<EnvVar>,
    }

    /// A check by TCP.
    #[derive(Eq)]
    pub struct TcpSocketAction {
        /// Port.
        pub port: Option<IntOrString>,
        /// Host; empty means the pod's IP.
        pub host: String,
    }

    /// A check by gRPC.
    #[derive(Eq)]
    pub struct GrpcAction {
        /// Port.
        pub port: u16,
        /// Service asked for.
        pub service: String,
    }

    /// A check by command.
    #[derive(Eq)]
    pub struct ExecAction {
        /// The command.
        pub command: Vec<String>,
    }

    /// Identity of a process.
    #[derive(Eq)]
    pub struct SecurityContext {
        /// User id.
        pub run_as_user: Option<i64>,
        /// Group id.
        pub run_as_group: Option<i64>,
    }

    /// What was observed.
    #[derive(Eq)]
    pub struct PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        pub phase: String,
        /// Address.
        #[shape(name = "podIP")]
        pub pod_ip: String,
        /// Addresses of all families.
        #[shape(name = "podIPs")]
        pub pod_ips: Vec<PodIp>,
        /// Address of the node.
        #[shape(name = "hostIP")]
        pub host_ip: String,
        /// `Ready` and the like.
        pub conditions: Vec<PodCondition>,
        /// State of the containers.
        pub container_statuses: Vec<ContainerStatus>,
        /// State of the init containers.
        pub init_container_statuses: Vec<ContainerStatus>,
        /// One word why it is in this phase.
        pub reason: String,
        /// A sentence why it is in this phase.
        pub message: String,
    }

    /// An address.
    #[derive(Eq)]
    pub struct PodIp {
        /// The IP.
        pub ip: String,
    }

    /// One aspect of the state.
    #[derive(Eq)]
    pub struct PodCondition {
        /// Name of the aspect.
        pub r#type: String,
        /// `True`, `False` or `Unknown`.
        pub status: String,
        /// One word why.
        pub reason: String,
        /// A sentence why.
        pub message: String,
    }

    /// State of a container.
    #[derive(Eq)]
    pub struct ContainerStatus {
        /// Name.
        pub name: String,
        /// Image.
        pub image: String,
        /// Whether it takes traffic.
        pub ready: bool,
        /// How often it was restarted.
        pub restart_count: i32,
        /// Whether it has started.
        pub started: Option<bool>,
        /// `waiting`, `running` or `terminated`, with details.
        pub state: BTreeMap<String, serde_json::Value>,
    }
}

impl PodStatus {
    /// Whether condition `Ready` is `True`.
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
    }
}

resource!(Pod, "", "Pod", "pods", true, ["v1"], status = PodStatus);
