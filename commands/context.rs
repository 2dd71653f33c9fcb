//! What every command starts from: the global flags, and on demand the cluster they lead to.

mod embedded;
pub(crate) mod kubeconfig;
mod source;

use kube::Client;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use tower::buffer::BufferLayer;
use tower::retry::RetryLayer;

use crate::cli::Globals;
use crate::exit::Failure;
use crate::kubernetes::{TellWarnings, resolve_host};

pub(crate) use embedded::{RunningCluster, of_another_version};
pub(crate) use source::Source;

/// Built once, passed first.
#[derive(Debug)]
pub(crate) struct Context {
    /// The flags as given.
    pub(crate) globals: Globals,
    /// What was connected to, for messages.
    reached: std::sync::OnceLock<String>,
}

/// A cluster to talk to.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// Client with the user's credentials.
    pub(crate) client: Client,
    /// For messages: `the embedded cluster`, `context "prod" (https://…)`.
    pub(crate) description: String,
    /// Namespace of the kubeconfig context, `default` when it names none.
    pub(crate) default_namespace: String,
    /// Whether it is this machine's embedded cluster.
    pub(crate) embedded: bool,
    /// Whether later commands need `--embedded` to reach it, because something else is configured too.
    pub(crate) needs_flag: bool,
}

/// Requests on their way to the server at once; more wait.
const REQUESTS: usize = 1024;

/// Begins the hint that names a server.
const SERVER_IS: &str = "the server is ";

/// The hint that names the server which could not be reached.
pub(crate) fn server_is(description: &str) -> String {
    format!("{SERVER_IS}{description}")
}

impl Context {
    /// Remembers the flags; touches nothing.
    pub(crate) const fn new(globals: Globals) -> Self {
        Self { globals, reached: std::sync::OnceLock::new() }
    }

    /// Adds to a failure to connect what it was that could not be reached.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let connecting = format!("{:#}", failure.error).contains("Unable to connect to the server");
        let is_said = failure.hints.iter().any(|hint| hint.starts_with(SERVER_IS));
        match self.reached.get().filter(|_| connecting && !is_said) {
            Some(cluster) => failure.hint(server_is(cluster)),
            None => failure,
        }
    }

    /// Connects to the cluster that flags and environment name. Nothing is started.
    pub(crate) async fn cluster(&self) -> Result<Cluster, Failure> {
        match Source::find(&self.globals)? {
            Some(source) => self.connect(&source).await,
            None => Err(Failure::new(
                "no cluster: no kubeconfig, not in a pod, and no embedded cluster on this machine",
            )
            .hint("sagene install --profile demo   starts an embedded cluster and installs the mesh on it")
            .hint(
                "sagene cluster start            starts one without a mesh, for what has to be there before",
            )
            .hint("--kubeconfig FILE or KUBECONFIG names an existing cluster")),
        }
    }

    /// Connects to a source found earlier.
    pub(crate) async fn connect(&self, source: &Source) -> Result<Cluster, Failure> {
        let mut config = source.config().await?;
        config.connect_timeout = Some(self.globals.client_timeout);
        // The default goes on for minutes without a word; see below.
        config.default_retry = false;
        if let Some(timeout) = self.globals.request_timeout {
            config.connect_timeout = Some(timeout);
            config.read_timeout = Some(timeout);
        }
        config.auth_info.impersonate.clone_from(&self.globals.impersonate);
        if !self.globals.impersonate_group.is_empty() {
            config.auth_info.impersonate_groups = Some(self.globals.impersonate_group.clone());
        }
        if let Some(uid) = &self.globals.impersonate_uid {
            let name = http::HeaderName::from_static("impersonate-uid");
            config.headers.push((name, http::HeaderValue::from_str(uid)?));
        }
        let description = source.description(&config.cluster_url);
        let _first = self.reached.set(description.clone());
        resolve_host(&mut config).await?;
        let default_namespace = config.default_namespace.clone();
        let client = ClientBuilder::try_from(config).map_err(|error| {
            Failure::from(error).context(format!("cannot make a client for {description}"))
        })?;
        // A server that is busy for a moment is asked again for some seconds; then its answer is told.
        let client = client
            .with_layer(&BufferLayer::<http::Request<Body>>::new(REQUESTS))
            .with_layer(&RetryLayer::new(RetryPolicy::default()))
            .with_layer(&TellWarnings::default())
            .build();
        let embedded = source.is_embedded();
        let needs_flag = embedded && !Source::default_is_embedded();
        Ok(Cluster { client, description, default_namespace, embedded, needs_flag })
    }

    /// Starts the embedded cluster, or finds it running, and connects to it.
    pub(crate) async fn start_embedded(&self) -> Result<Cluster, Failure> {
        embedded::start().await?;
        self.connect_embedded().await
    }

    /// Has this program run the embedded cluster in the place of another version.
    pub(crate) async fn renew_embedded(&self, running: RunningCluster) -> Result<Cluster, Failure> {
        embedded::renew(running).await?;
        self.connect_embedded().await
    }

    async fn connect_embedded(&self) -> Result<Cluster, Failure> {
        let source =
            Source::embedded().ok_or_else(|| Failure::new("the embedded cluster wrote no kubeconfig"))?;
        self.connect(&source).await
    }

    /// `-n`, else the namespace of the kubeconfig context.
    pub(crate) fn namespace(&self, cluster: &Cluster) -> String {
        self.globals
            .namespace
            .clone()
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| cluster.default_namespace.clone())
    }
}
