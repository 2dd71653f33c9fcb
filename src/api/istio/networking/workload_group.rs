//! WorkloadGroup: the template of workloads that register themselves, and how their health is checked.

use super::workload_entry::{UDS_WITHOUT_PORTS, WorkloadEntry};
use crate::SortedMap;
use crate::istio::IstioStatus;
use crate::schema::rules;

shape! {
    /// A group of workloads of one kind.
    #[shape(extend("required" = ["template"]))]
    pub struct WorkloadGroup {
        /// Labels and annotations of every member.
        pub metadata: Option<WorkloadGroupMetadata>,
        /// What every member's WorkloadEntry starts from; it has no address.
        #[shape(extend("x-kubernetes-validations" = rules::rules(&[UDS_WITHOUT_PORTS])))]
        pub template: WorkloadEntry,
        /// How the proxy beside a member checks the application.
        pub probe: Option<ReadinessProbe>,
    }

    /// Labels and annotations of every member.
    #[derive(Eq)]
    pub struct WorkloadGroupMetadata {
        /// Labels.
        #[shape(extend("maxProperties" = 256))]
        pub labels: SortedMap<String, String>,
        /// Annotations.
        #[shape(extend("maxProperties" = 256))]
        pub annotations: SortedMap<String, String>,
    }

    /// How the application is checked.
    #[derive(Eq)]
    #[shape(extend("oneOf" = rules::one_of(&["httpGet", "tcpSocket", "exec", "grpc"])))]
    pub struct ReadinessProbe {
        /// Seconds until the first check.
        #[shape(range(min = 0))]
        pub initial_delay_seconds: i32,
        /// Seconds allowed for a check; zero means 1.
        #[shape(range(min = 0))]
        pub timeout_seconds: i32,
        /// Seconds between checks; zero means 10.
        #[shape(range(min = 0))]
        pub period_seconds: i32,
        /// Successes in a row until healthy; zero means 1.
        #[shape(range(min = 0))]
        pub success_threshold: i32,
        /// Failures in a row until unhealthy; zero means 3.
        #[shape(range(min = 0))]
        pub failure_threshold: i32,
        /// By an HTTP request.
        pub http_get: Option<HttpHealthCheckConfig>,
        /// By a TCP connection.
        pub tcp_socket: Option<TcpHealthCheckConfig>,
        /// By a command.
        pub exec: Option<ExecHealthCheckConfig>,
        /// By gRPC's health service.
        pub grpc: Option<GrpcHealthCheckConfig>,
    }

    /// A check by HTTP.
    #[derive(Eq)]
    #[shape(extend("required" = ["port"]))]
    pub struct HttpHealthCheckConfig {
        /// Path.
        pub path: String,
        /// Port.
        #[shape(extend("x-kubernetes-validations" = rules::port()))]
        pub port: u32,
        /// Host; empty means the workload's own address.
        pub host: String,
        /// `HTTP` or `HTTPS`.
        #[shape(extend("x-kubernetes-validations" =
            rules::rule("scheme must be one of [HTTP, HTTPS]", "self in [\"\", \"HTTP\", \"HTTPS\"]")))]
        pub scheme: String,
        /// Headers to send.
        pub http_headers: Vec<HttpHeader>,
    }

    /// A header of a check.
    #[derive(Eq)]
    pub struct HttpHeader {
        /// Name.
        #[shape(regex(pattern = r"^[-_A-Za-z0-9]+$"))]
        pub name: String,
        /// Value.
        pub value: String,
    }

    /// A check by TCP.
    #[derive(Eq)]
    #[shape(extend("required" = ["port"]))]
    pub struct TcpHealthCheckConfig {
        /// Host; empty means the workload's own address.
        pub host: String,
        /// Port.
        #[shape(extend("x-kubernetes-validations" = rules::port()))]
        pub port: u32,
    }

    /// A check by command.
    #[derive(Eq)]
    #[shape(extend("required" = ["command"]))]
    pub struct ExecHealthCheckConfig {
        /// The command and its arguments; exit code zero is healthy.
        #[shape(inner(length(min = 1)))]
        pub command: Vec<String>,
    }

    /// A check by gRPC.
    #[derive(Eq)]
    pub struct GrpcHealthCheckConfig {
        /// Service asked for; empty means the whole server.
        pub service: String,
        /// Port.
        #[shape(extend("x-kubernetes-validations" = rules::port()))]
        pub port: u32,
    }
}

resource!(
    WorkloadGroup,
    "networking.istio.io",
    "WorkloadGroup",
    "workloadgroups",
    true,
    ["v1", "v1beta1", "v1alpha3"],
    status = IstioStatus
);
