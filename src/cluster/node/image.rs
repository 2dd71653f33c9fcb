//! What an image name means where there are no images: a sample built into this program, this program itself, or a command of the
//! machine.

use std::path::PathBuf;

use crate::samples;

use super::container_spec::PROGRAM_PATH;
use super::pod_spec::Container;

/// Names whose image is this program.
const OWN_IMAGES: [&str; 5] = ["sagene", "proxyv2", "pilot", "istio-proxy", "install-cni"];

/// Images without an entry point: their containers' `args` are the command, or else this shell is.
const SHELL_IMAGES: [&str; 14] = [
    "alpine",
    "bash",
    "busybox",
    "centos",
    "debian",
    "fedora",
    "golang",
    "netshoot",
    "node",
    "perl",
    "python",
    "rockylinux",
    "ruby",
    "ubuntu",
];
const SHELL: &str = "sh";
/// Images that stand for a program of this machine: name, entry point, and the arguments that a container's `args` replace.
const PROGRAM_IMAGES: [(&str, &str, &[&str]); 3] =
    [("kubectl", "kubectl", &[]), ("openssl", "openssl", &[]), ("socat", "socat", &[])];

/// The addon that the built-in console stands in for, the folder of its own programs, and what runs instead.
const CONSOLE_IMAGE: &str = "kiali";
const CONSOLE_PROGRAMS: &str = "/opt/kiali/";
const CONSOLE: [&str; 5] = ["console", "--address", "0.0.0.0", "--port", "20001"];

/// `PATH` of containers, as images have it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A container's command line before `$(VAR)` is expanded, and what its image brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
}

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the embedded cluster pulls no images: {image:?} is none of the built-in samples, and the container names no command. \
     Set `command` to a program of this machine, use one of Istio's sample images, or run the pod on a Kubernetes cluster"
)]
pub(crate) struct UnknownImage {
    /// As the container names it.
    pub(crate) image: String,
}

/// Resolves a container's image and command.
pub(crate) fn resolve(container: &Container) -> Result<Image, UnknownImage> {
    let sample = samples::by_image(&container.image);
    let mut environment = vec![("PATH".to_owned(), PATH.to_owned())];
    let own = |words: &[&str]| {
        let program = std::iter::once(PROGRAM_PATH.to_owned());
        program.chain(words.iter().map(|word| (*word).to_owned())).collect::<Vec<String>>()
    };
    if let Some(sample) = &sample {
        environment
            .extend(sample.environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    let is_own = |command: &String| command.starts_with(CONSOLE_PROGRAMS);
    let is_console =
        last_part(&container.image) == CONSOLE_IMAGE && container.command.first().is_none_or(is_own);
    let arguments = if is_console {
        own(&CONSOLE)
    } else if let Some(given) = own_program(container, sample.as_ref()) {
        own(&["sample", "otel-collector"]).into_iter().chain(given).collect()
    } else if !container.command.is_empty() {
        container.command.iter().chain(&container.args).cloned().collect()
    } else if let Some(sample) = sample {
        let mut arguments = own(&["sample", sample.applet]);
        if container.args.is_empty() {
            arguments.extend(sample.arguments.iter().map(|word| (*word).to_owned()));
        } else {
            arguments.extend(container.args.iter().cloned());
        }
        arguments
    } else if OWN_IMAGES.contains(&last_part(&container.image)) {
        own(&[]).into_iter().chain(container.args.iter().cloned()).collect()
    } else if SHELL_IMAGES.contains(&last_part(&container.image)) {
        if container.args.is_empty() { vec![SHELL.to_owned()] } else { container.args.clone() }
    } else if let Some((_, program, default)) =
        PROGRAM_IMAGES.iter().find(|(name, ..)| *name == last_part(&container.image))
    {
        let default = || default.iter().map(|word| (*word).to_owned()).collect();
        let given = if container.args.is_empty() { default() } else { container.args.clone() };
        std::iter::once((*program).to_owned()).chain(given).collect()
    } else {
        return Err(UnknownImage { image: container.image.clone() });
    };
    Ok(Image { arguments, environment })
}

/// The arguments of a command that names the collector's program, which its image has at the root: `/otelcol`, `/otelcol-contrib`.
fn own_program(container: &Container, sample: Option<&samples::Sample>) -> Option<Vec<String>> {
    let (program, rest) = container.command.split_first()?;
    let is_meant =
        sample?.applet == "otel-collector" && program.trim_start_matches('/').starts_with("otelcol");
    is_meant.then(|| rest.iter().chain(&container.args).cloned().collect())
}

/// Names under which this program is found in `/usr/local/bin` of a container of this image.
pub(crate) fn program_names(container: &Container) -> Vec<String> {
    let mut names: Vec<String> = ["sagene", "pilot-agent", "pilot-discovery"].map(str::to_owned).to_vec();
    let brought: &[&str] = match samples::by_image(&container.image).map(|sample| sample.applet) {
        Some("curl") => &["curl", "nc"],
        Some("sleep" | "nc") => &["nc"],
        Some("echo") => &["client", "server"],
        Some("fortio") => &["fortio"],
        Some("httpbin") => &["gunicorn", "go-httpbin"],
        Some("nginx") => &["nginx"],
        Some("ratelimit") => &["ratelimit"],
        Some("squid") => &["squid"],
        Some("redis") => &["redis-server", "redis-cli"],
        _ => &[],
    };
    names.extend(brought.iter().map(|name| (*name).to_owned()));
    names
}

/// Folders of an image that its program writes to: containers get them empty and in memory.
pub(crate) fn written_folders(container: &Container) -> Vec<PathBuf> {
    let folders: &[&str] = match samples::by_image(&container.image).map(|sample| sample.applet) {
        Some("squid") => &["/var/log/squid"],
        _ => &[],
    };
    folders.iter().map(PathBuf::from).collect()
}

fn last_part(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    last.split(':').next().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(image: &str, command: &[&str], args: &[&str]) -> Container {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Container {
            image: image.to_owned(),
            command: words(command),
            args: words(args),
            ..Container::default()
        }
    }

    #[test]
    fn samples_this_program_and_commands_run_and_all_else_says_what_to_do() {
        let arguments = |container: Container| resolve(&container).unwrap().arguments;
        assert_eq!(
            arguments(container("docker.io/istio/examples-bookinfo-ratings-v1:1.20.3", &[], &[])),
            ["/.sagene", "sample", "bookinfo-ratings", "9080"]
        );
        assert_eq!(
            arguments(container("localhost:5000/istio/proxyv2:1.30", &[], &["proxy", "sidecar"])),
            ["/.sagene", "proxy", "sidecar"]
        );
        assert_eq!(arguments(container("busybox", &["sh", "-c"], &["true"])), ["sh", "-c", "true"]);
        assert_eq!(
            arguments(container("docker.io/library/busybox:1.36", &[], &["echo", "a"])),
            ["echo", "a"]
        );
        assert_eq!(arguments(container("alpine", &[], &[])), ["sh"]);
        assert_eq!(
            arguments(container("curlimages/curl", &["/bin/sleep", "infinity"], &[])),
            ["/bin/sleep", "infinity"]
        );
        assert_eq!(
            arguments(container("docker.io/prom/prometheus:v3.5.0", &[], &["--config.file=/a"])),
            ["/.sagene", "sample", "prometheus", "--config.file=/a"]
        );
        assert_eq!(
            arguments(container("otel/opentelemetry-collector:0.132.0", &["/otelcol"], &["--config=/a"])),
            ["/.sagene", "sample", "otel-collector", "--config=/a"]
        );
        let console = ["/.sagene", "console", "--address", "0.0.0.0", "--port", "20001"];
        assert_eq!(
            arguments(container("quay.io/kiali/kiali:v2.17", &["/opt/kiali/kiali", "-config", "/a"], &[])),
            console
        );
        assert_eq!(arguments(container("kiali", &["/usr/bin/mine"], &[])), ["/usr/bin/mine"]);
        let error = resolve(&container("mongo:7", &[], &[])).unwrap_err();
        assert!(error.to_string().contains("Set `command`"));
    }
}
