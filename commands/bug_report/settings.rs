//! Flags and the file of `--filename`, put together and checked before anything is asked for.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Collect;
use super::selection::Selection;
use crate::cli::{Globals, duration};
use crate::exit::Failure;
use crate::files;
use crate::kubernetes::text;

/// Where Kubernetes' own pods are, which say nothing about a mesh.
const SYSTEM: &str = "kube-node-lease,kube-public,kube-system,local-path-storage";
/// Requests at once, unless said otherwise.
const CONCURRENCY: usize = 32;
/// Default of `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Default of `--proxy-admin-port`.
const ADMIN_PORT: u16 = 15000;

/// What was asked for.
pub(super) struct Settings {
    pub(super) dry_run: bool,
    pub(super) full_secrets: bool,
    pub(super) proxy_admin_port: u16,
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) tail: u64,
    pub(super) skip_cluster_dump: bool,
    pub(super) skip_analyze: bool,
    pub(super) skip_proxy_debug: bool,
    pub(super) skip_netstat: bool,
    pub(super) skip_coredumps: bool,
    /// Log lines from here.
    pub(super) start: Option<Timestamp>,
    /// Log lines until here.
    pub(super) end: Option<Timestamp>,
    pub(super) critical: Vec<String>,
    pub(super) ignored: Vec<String>,
    pub(super) output_dir: PathBuf,
    dir: PathBuf,
    include: Vec<Selection>,
    exclude: Vec<Selection>,
}

/// The file of `--filename`; istioctl's fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct File {
    kube_config_path: Option<String>,
    context: Option<String>,
    istio_namespace: Option<String>,
    dry_run: bool,
    full_secrets: bool,
    command_timeout: Option<String>,
    include: Vec<Selection>,
    exclude: Vec<Selection>,
    start_time: Option<String>,
    end_time: Option<String>,
    since: Option<String>,
    critical_errors: Vec<String>,
    ignored_errors: Vec<String>,
    request_concurrency: usize,
    proxy_admin_port: Option<u16>,
}

impl Settings {
    /// Puts both together; what leads to the cluster goes into `globals`.
    pub(super) fn resolve(flags: Collect, globals: &mut Globals) -> Result<Self, Failure> {
        let file = match &flags.filename {
            Some(path) => read(path)?,
            None => File::default(),
        };
        globals.kubeconfig = globals.kubeconfig.take().or(file.kube_config_path);
        globals.context = globals.context.take().or(file.context);
        if let Some(namespace) = flags.control_namespace.or(file.istio_namespace) {
            globals.istio_namespace = namespace;
        }
        let since = match file.since.as_deref().map(duration).transpose() {
            Ok(since) => flags.duration.or(since),
            Err(error) => return Err(Failure::new(error).context("since")),
        };
        let file_timeout = file.command_timeout.as_deref().map(duration).transpose();
        let file_timeout = file_timeout.map_err(|error| Failure::new(error).context("commandTimeout"))?;
        let start = time("--start-time", flags.start_time.or(file.start_time))?;
        let end = time("--end-time", flags.end_time.or(file.end_time))?;
        if since.is_some() && (start.is_some() || end.is_some()) {
            return Err(Failure::usage("only one of --duration and --start-time, --end-time may be set"));
        }
        if start.zip(end).is_some_and(|(start, end)| end < start) {
            return Err(Failure::usage("--end-time is before --start-time"));
        }
        let concurrency = [flags.rq_concurrency, file.request_concurrency, CONCURRENCY];
        Ok(Self {
            dry_run: flags.dry_run || file.dry_run,
            full_secrets: flags.full_secrets || file.full_secrets,
            proxy_admin_port: flags.proxy_admin_port.or(file.proxy_admin_port).unwrap_or(ADMIN_PORT),
            timeout: flags.timeout.or(file_timeout).unwrap_or(TIMEOUT),
            concurrency: concurrency.into_iter().find(|count| *count > 0).unwrap_or(CONCURRENCY),
            tail: flags.tail,
            skip_cluster_dump: flags.skip_cluster_dump,
            skip_analyze: flags.skip_analyze,
            skip_proxy_debug: flags.skip_proxy_debug,
            skip_netstat: flags.skip_netstat,
            skip_coredumps: flags.skip_coredumps,
            start: start.or_else(|| since.and_then(|since| Timestamp::now().checked_sub(since).ok())),
            end,
            critical: chosen(flags.critical_errs, file.critical_errors),
            ignored: chosen(flags.ignore_errs, file.ignored_errors),
            output_dir: flags.output_dir.unwrap_or_else(|| PathBuf::from(".")),
            dir: flags.dir.unwrap_or_else(std::env::temp_dir),
            include: selections(&flags.include, file.include, "")?,
            exclude: selections(&flags.exclude, file.exclude, SYSTEM)?,
        })
    }

    /// Whether anything of a pod was asked for.
    pub(super) fn wants(&self, pod: &Value) -> bool {
        let containers = ["/spec/initContainers", "/spec/containers"];
        let lists = containers.into_iter().filter_map(|list| pod.pointer(list).and_then(Value::as_array));
        lists.flatten().any(|container| self.wants_container(pod, text(container, "/name")))
    }

    /// Whether a container was asked for.
    pub(super) fn wants_container(&self, pod: &Value, container: &str) -> bool {
        let fits = |selection: &Selection| selection.fits(pod, container);
        self.include.iter().any(fits) && !self.exclude.iter().any(fits)
    }

    /// A folder of this run's own.
    pub(super) fn temporary_folder(&self) -> PathBuf {
        self.dir.join(format!("bug-report-{}-{}", std::process::id(), Timestamp::now().as_millisecond()))
    }
}

fn read(path: &str) -> Result<File, Failure> {
    let text = files::read(path, false)?.pop().map(|file| file.text).unwrap_or_default();
    serde_yaml::from_str(&text).map_err(|error| Failure::from(error).context(path.to_owned()))
}

fn time(flag: &'static str, text: Option<String>) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = text.parse().map_err(|_| {
        Failure::usage(format!("{flag} {text:?} is not a time")).hint("write it like 2026-01-31T08:00:00Z")
    });
    parsed.map(Some)
}

fn chosen(flags: Vec<String>, file: Vec<String>) -> Vec<String> {
    if flags.is_empty() { file } else { flags }
}

fn selections(flags: &[String], file: Vec<Selection>, default: &str) -> Result<Vec<Selection>, Failure> {
    match (flags, file.is_empty()) {
        ([], true) => Ok(vec![Selection::parse(default)?]),
        ([], false) => Ok(file),
        _ => flags.iter().map(|flag| Selection::parse(flag)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istioctls_file_is_read_and_a_mistake_in_it_is_named() {
        let file: File = serde_yaml::from_str(
            "istioNamespace: mesh\nfullSecrets: true\ncommandTimeout: 1m\ninclude:\n- namespaces: [a]\n  labels: {app: b}\n",
        )
        .expect("a file");
        assert!(file.full_secrets && file.include.len() == 1);
        let error = serde_yaml::from_str::<File>("fullSecret: true\n").expect_err("a mistake").to_string();
        assert!(error.contains("fullSecret"), "{error}");
    }
}
