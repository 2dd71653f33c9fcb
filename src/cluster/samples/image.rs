//! Which applet stands in for which image.

/// Names of all applets, as `sagene sample NAME` takes them.
pub(super) const APPLETS: &[&str] = &[
    "bookinfo-details",
    "bookinfo-mongodb",
    "bookinfo-productpage",
    "bookinfo-ratings",
    "bookinfo-reviews",
    "config-reloader",
    "curl",
    "echo",
    "echo-client",
    "ext-authz",
    "fortio",
    "gunicorn",
    "health",
    "hello-app",
    "helloworld",
    "http-echo",
    "httpbin",
    "jaeger",
    "jwt-server",
    "nc",
    "nginx",
    "otel-collector",
    "prometheus",
    "ratelimit",
    "redis",
    "redis-cli",
    "sleep",
    "squid",
    "tcp-echo",
    "tornado",
];

/// An applet with what its image would have brought along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Name for `sagene sample NAME`.
    pub applet: &'static str,
    /// Arguments of the image's own command line; a container's `args` replace them.
    pub arguments: &'static [&'static str],
    /// Environment of the image; a container's `env` wins.
    pub environment: &'static [(&'static str, &'static str)],
}

const fn sample(
    applet: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
) -> Sample {
    Sample { applet, arguments, environment }
}

/// The sample for an image reference. Only the last part of the name counts, whatever registry, tag or digest.
pub fn by_image(image: &str) -> Option<Sample> {
    Some(match last_part(image) {
        "examples-bookinfo-productpage-v1" => sample("bookinfo-productpage", &["9080"], &[]),
        "examples-bookinfo-details-v1" => sample("bookinfo-details", &["9080"], &[("SERVICE_VERSION", "v1")]),
        "examples-bookinfo-details-v2" => sample("bookinfo-details", &["9080"], &[("SERVICE_VERSION", "v2")]),
        "examples-bookinfo-reviews-v1" => {
            sample("bookinfo-reviews", &["9080"], &[("SERVICE_VERSION", "v1"), ("ENABLE_RATINGS", "false")])
        }
        "examples-bookinfo-reviews-v2" => sample(
            "bookinfo-reviews",
            &["9080"],
            &[("SERVICE_VERSION", "v2"), ("ENABLE_RATINGS", "true"), ("STAR_COLOR", "black")],
        ),
        "examples-bookinfo-reviews-v3" => sample(
            "bookinfo-reviews",
            &["9080"],
            &[("SERVICE_VERSION", "v3"), ("ENABLE_RATINGS", "true"), ("STAR_COLOR", "red")],
        ),
        "examples-bookinfo-ratings-v1" => sample("bookinfo-ratings", &["9080"], &[("SERVICE_VERSION", "v1")]),
        "examples-bookinfo-ratings-v2" => sample("bookinfo-ratings", &["9080"], &[("SERVICE_VERSION", "v2")]),
        "examples-bookinfo-mongodb" => sample("bookinfo-mongodb", &[], &[]),
        "examples-bookinfo-ratings-v-faulty" => {
            sample("bookinfo-ratings", &["9080"], &[("SERVICE_VERSION", "v-faulty")])
        }
        "examples-bookinfo-ratings-v-delayed" => {
            sample("bookinfo-ratings", &["9080"], &[("SERVICE_VERSION", "v-delayed")])
        }
        "examples-bookinfo-ratings-v-unavailable" => {
            sample("bookinfo-ratings", &["9080"], &[("SERVICE_VERSION", "v-unavailable")])
        }
        "examples-bookinfo-ratings-v-unhealthy" => {
            sample("bookinfo-ratings", &["9080"], &[("SERVICE_VERSION", "v-unhealthy")])
        }
        "examples-helloworld-v1" => sample("helloworld", &["5000"], &[("SERVICE_VERSION", "v1")]),
        "examples-helloworld-v2" => sample("helloworld", &["5000"], &[("SERVICE_VERSION", "v2")]),
        "health" => sample("health", &[], &[]),
        "hello-app" if is_second(image) => sample("hello-app", &[], &[("SERVICE_VERSION", "2.0.0")]),
        "hello-app" => sample("hello-app", &[], &[]),
        "http-echo" => sample("http-echo", &[], &[]),
        "go-httpbin" => sample("httpbin", &["8080"], &[]),
        "httpbin" => sample("httpbin", &["80", "--flat"], &[]),
        "tcp-echo-server" => sample("tcp-echo", &["9000"], &[]),
        "app" if is_istio_test(image) => sample("echo", &[], &[]),
        "ext-authz" => sample("ext-authz", &[], &[]),
        "fortio" => sample("fortio", &["server"], &[]),
        "jwt-server" => sample("jwt-server", &[], &[]),
        "nginx" => sample("nginx", &[], &[]),
        "squid" => sample("squid", &[], &[]),
        "opentelemetry-collector" | "opentelemetry-collector-contrib" | "opentelemetry-collector-k8s" => {
            sample("otel-collector", &[], &[])
        }
        "ratelimit" => sample("ratelimit", &[], &[]),
        "redis" => sample("redis", &[], &[]),
        "netcat" => sample("nc", &[], &[]),
        "tornado-websocket-example" => sample("tornado", &["8888"], &[]),
        "all-in-one" | "jaeger" | "zipkin" | "zipkin-slim" => sample("jaeger", &[], &[]),
        "prometheus" => sample(
            "prometheus",
            &["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
            &[],
        ),
        "prometheus-config-reloader" | "configmap-reload" => sample("config-reloader", &[], &[]),
        "curl" => sample("curl", &[], &[]),
        "sleep" => sample("sleep", &[], &[]),
        _ => return None,
    })
}

/// Whether an image of a common name is one of Istio's own test images: `registry.istio.io/testing/app`, `gcr.io/istio-testing/app`.
fn is_istio_test(image: &str) -> bool {
    let folder = image.rsplit_once('/').map_or("", |(folder, _)| folder);
    matches!(folder.rsplit('/').next(), Some("testing" | "istio-testing" | "istio"))
}

/// Whether the tag is of a second version: `2.0`, `v2`.
fn is_second(image: &str) -> bool {
    let tag =
        image.rsplit_once('/').map_or(image, |(_, last)| last).split_once(':').map_or("", |(_, tag)| tag);
    tag.trim_start_matches('v').starts_with('2')
}

/// `registry:5000/folder/name:tag@digest` → `name`.
fn last_part(image: &str) -> &str {
    let without_digest = image.split('@').next().unwrap_or(image);
    let last = without_digest.rsplit('/').next().unwrap_or(without_digest);
    last.split(':').next().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_part_of_the_name_counts() {
        for image in [
            "examples-bookinfo-reviews-v2",
            "registry.istio.io/release/examples-bookinfo-reviews-v2:1.20.3",
            "docker.io/istio/examples-bookinfo-reviews-v2@sha256:abc",
            "localhost:5000/examples-bookinfo-reviews-v2:latest",
        ] {
            let sample = by_image(image).expect(image);
            assert_eq!(sample.applet, "bookinfo-reviews");
            assert!(sample.environment.contains(&("STAR_COLOR", "black")));
        }
        for image in ["registry.istio.io/testing/app:latest", "gcr.io/istio-testing/app", "istio/app:1.30"] {
            assert_eq!(by_image(image).expect(image).applet, "echo");
        }
        assert_eq!(by_image("registry.example.com/shop/app"), None);
        assert_eq!(by_image("mongo"), None);
        assert_eq!(by_image("examples-bookinfo-reviews-v2/mongo"), None);
    }
}
