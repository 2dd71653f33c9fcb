//! The embedded cluster as its users meet it: real processes, namespaces and traffic, as root and in a user namespace, each case in
//! a state directory of its own. This program is also the one the cluster runs itself with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine;
use sagene_cluster::launcher::{self, ClusterStatus, LaunchOptions, RunningCluster};
use serde_json::{Value, json};

/// A slow machine gets this long for anything.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = sagene_cluster::run::internal_entry(&arguments) {
        return code;
    }
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if words.get(1).is_some_and(|word| word == "sample") {
        let code = runtime().block_on(sagene_cluster::samples::run(&words[2], &words[3..]));
        return code.ok().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from);
    }
    let wanted = words.iter().skip(1).find(|word| !word.starts_with('-')).cloned().unwrap_or_default();
    for (name, case) in [("node_lifecycle", lifecycle as fn(bool)), ("node_pods", pods)] {
        for user_namespace in [false, true] {
            let name = format!("{name}{}", if user_namespace { "_rootless" } else { "" });
            if words.iter().any(|word| word == "--list") {
                println!("{name}: test");
            } else if name.contains(&wanted) {
                case(user_namespace);
                println!("test {name} ... ok");
            }
        }
    }
    ExitCode::SUCCESS
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A cluster that is purged when the test ends, however it ends.
struct Cluster {
    _folder: tempfile::TempDir,
    options: LaunchOptions,
}

impl Cluster {
    fn new(user_namespace: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state_directory = Some(folder.path().join("state"));
        Self {
            _folder: folder,
            options: LaunchOptions { state_directory, user_namespace, ..LaunchOptions::default() },
        }
    }

    fn directory(&self) -> Option<PathBuf> {
        self.options.state_directory.clone()
    }

    fn ensure_running(&self) -> RunningCluster {
        launcher::ensure_running(&self.options).unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = launcher::purge(self.directory()) {
            eprintln!("{error}");
        }
    }
}

fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A client with the administrator's credentials.
struct Api {
    client: reqwest::Client,
    server: String,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    fn of(cluster: &RunningCluster) -> Self {
        sagene_base::crypto::install();
        let text = std::fs::read_to_string(&cluster.kubeconfig_path).unwrap();
        let config: Value = serde_yaml::from_str(&text).unwrap();
        let data = |value: &Value| {
            base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
        };
        let user = &config["users"][0]["user"];
        let mut identity = data(&user["client-certificate-data"]);
        identity.extend(data(&user["client-key-data"]));
        let authority = data(&config["clusters"][0]["cluster"]["certificate-authority-data"]);
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&authority).unwrap()])
            .identity(reqwest::Identity::from_pem(&identity).unwrap())
            .build()
            .unwrap();
        Self { client, server: format!("https://{}", cluster.api_address), runtime: runtime() }
    }

    fn text(&self, path: &str) -> Option<String> {
        self.runtime.block_on(async {
            let answer = self.client.get(format!("{}{path}", self.server)).send().await.ok()?;
            answer.error_for_status().ok()?.text().await.ok()
        })
    }

    fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.text(path)?).ok()
    }

    fn create(&self, path: &str, object: &Value) {
        let answer = self.runtime.block_on(async {
            let answer =
                self.client.post(format!("{}{path}", self.server)).json(object).send().await.unwrap();
            (answer.status(), answer.text().await.unwrap())
        });
        assert!(answer.0.is_success(), "{}", answer.1);
    }

    fn delete(&self, path: &str) {
        let sent = self.runtime.block_on(self.client.delete(format!("{}{path}", self.server)).send());
        assert!(sent.unwrap().status().is_success());
    }
}

const PODS: &str = "/api/v1/namespaces/default/pods";

/// Started once, found again, killed without warning, started with its objects, stopped, purged.
fn lifecycle(user_namespace: bool) {
    let cluster = Cluster::new(user_namespace);
    let first = cluster.ensure_running();
    assert!(first.started);
    let again = cluster.ensure_running();
    assert_eq!((again.started, again.process_id), (false, first.process_id));
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}});
    let api = Api::of(&first);
    api.create("/api/v1/namespaces/default/configmaps", &map);
    api.create(PODS, &json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "done"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "any", "command": ["true"]}]},
    }));
    let done = |api: &Api| {
        let pod = api.get(&format!("{PODS}/done"))?;
        // The last thing that is told: its network is gone.
        let has_no_network = |condition: &Value| {
            condition["type"] == "PodReadyToStartContainers" && condition["status"] == "False"
        };
        let is_over = pod["status"]["conditions"].as_array()?.iter().any(has_no_network);
        (is_over && pod["status"]["phase"] == "Succeeded").then(|| pod["status"].clone())
    };
    let status = until("the end of a pod", || done(&api));

    let process = nix::unistd::Pid::from_raw(i32::try_from(first.process_id).unwrap());
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
    until("the end of a killed cluster", || {
        (launcher::status(cluster.directory()).unwrap() == ClusterStatus::Stopped).then_some(())
    });
    let second = cluster.ensure_running();
    assert_eq!(second.api_address, first.api_address);
    let kept = Api::of(&second).get("/api/v1/namespaces/default/configmaps/kept").unwrap();
    assert_eq!(kept["data"]["a"], "b");
    let api = Api::of(&second);
    api.create(PODS, &server_pod_without_volumes());
    until("a pod of the second daemon", || {
        (api.get(&format!("{PODS}/later"))?["status"]["phase"] == "Running").then_some(())
    });
    assert_eq!(done(&api), Some(status), "a pod that finished is not touched again");

    assert!(launcher::stop(cluster.directory()).unwrap());
    assert_eq!(launcher::status(cluster.directory()).unwrap(), ClusterStatus::Stopped);
    assert!(launcher::purge(cluster.directory()).unwrap());
    assert!(!cluster.directory().unwrap().exists());
}

/// A Service's pod is reached by name from another pod, and from the machine.
fn pods(user_namespace: bool) {
    let cluster = Cluster::new(user_namespace);
    let running = cluster.ensure_running();
    let api = Api::of(&running);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"greeting": "good day"}});
    api.create("/api/v1/namespaces/default/configmaps", &map);
    api.create(PODS, &server_pod());
    api.create("/api/v1/namespaces/default/services", &json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "hello"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }));
    let ready = until("a ready pod", || {
        let pod = api.get(&format!("{PODS}/hello"))?;
        let conditions = pod["status"]["conditions"].as_array()?.clone();
        conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
            .then_some(pod)
    });
    assert_eq!(ready["status"]["phase"], "Running");
    assert_eq!(ready["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    assert_eq!(api.text(&format!("{PODS}/hello/log?container=first")).unwrap(), "good day from hello\n");

    let client = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"},
        "spec": {"restartPolicy": "OnFailure", "containers": [{
            "name": "client", "image": "curl", "args": ["-s", "-S", "--fail", "http://hello.default/hello"],
        }]},
    });
    api.create(PODS, &client);
    until("a client that succeeds", || {
        (api.get(&format!("{PODS}/client"))?["status"]["phase"] == "Succeeded").then_some(())
    });
    assert!(api.text(&format!("{PODS}/client/log")).unwrap().contains("Hello version: v1"));

    node_port(&api);
    debugged(&api);
    slow_sample(&api);
    load_balancer(&api);

    api.create(
        PODS,
        &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unknown"},
            "spec": {"containers": [{"name": "a", "image": "mongo:7"}]},
        }),
    );
    let waiting = until("a reason to wait", || {
        let pod = api.get(&format!("{PODS}/unknown"))?;
        let waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        waiting["reason"].as_str()?.contains("ImagePull").then_some(waiting)
    });
    assert!(waiting["message"].as_str().unwrap().contains("Set `command`"), "{waiting}");

    usage(&api);
    claims(&api);
    ends(&api, &running);
    api.delete(&format!("{PODS}/hello"));
    until("a pod that is gone", || api.get(&format!("{PODS}/hello")).is_none().then_some(()));
    addresses_without_a_pod(&api, &ready["status"]);
}

/// A Service of type LoadBalancer is reached from the machine and from pods.
fn load_balancer(api: &Api) {
    let (address, host_port) = until("a port on the machine", || {
        let service = api.get("/api/v1/namespaces/default/services/hello")?;
        let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.to_owned();
        let ports: Value =
            serde_json::from_str(service["metadata"]["annotations"]["sagene.io/host-ports"].as_str()?)
                .ok()?;
        Some((address, ports["80"].as_u64()?))
    });
    let page = api.runtime.block_on(async {
        api.client
            .get(format!("http://{address}:{host_port}/hello"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    });
    assert!(page.contains("Hello version: v1"), "{page}");
    let from_a_pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "visitor"},
        "spec": {"restartPolicy": "OnFailure", "containers": [{
            "name": "visitor", "image": "curl", "args": ["-s", "--fail", format!("http://{address}/hello")],
        }]},
    });
    api.create(PODS, &from_a_pod);
    until("a pod that reached the load balancer", || {
        (api.get(&format!("{PODS}/visitor"))?["status"]["phase"] == "Succeeded").then_some(())
    });
}

/// A node port answers at `status.hostIP`, on the machine and in pods, and so does the node itself in pods.
fn node_port(api: &Api) {
    api.create("/api/v1/namespaces/default/services", &json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "exposed"},
        "spec": {"type": "NodePort", "selector": {"app": "hello"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }));
    let service = api.get("/api/v1/namespaces/default/services/exposed").unwrap();
    let port = service["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
    let node = api.get(&format!("{PODS}/hello")).unwrap()["status"]["hostIP"].as_str().unwrap().to_owned();
    let nodes = api.get("/api/v1/nodes").unwrap();
    assert_eq!(nodes["items"][0]["status"]["addresses"][0], json!({"type": "InternalIP", "address": node}));
    let url = format!("http://{node}:{port}/hello");
    let page = until("a node port that answers", || {
        api.runtime.block_on(async { api.client.get(&url).send().await.ok()?.text().await.ok() })
    });
    assert!(page.contains("Hello version: v1"), "{page}");
    api.create(
        PODS,
        &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "neighbor"},
            "spec": {"restartPolicy": "OnFailure", "containers": [{
                "name": "neighbor", "image": "busybox",
                "command": ["sh", "-c", "curl -sS --fail $URL && curl -sSk --fail https://$NODE:6443/readyz"],
                "env": [
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                    {"name": "URL", "value": url},
                ],
            }]},
        }),
    );
    until("a pod that reached the node", || {
        (api.get(&format!("{PODS}/neighbor"))?["status"]["phase"] == "Succeeded").then_some(())
    });
}

/// A container that is added to a pod sees the processes of the one it is for.
fn debugged(api: &Api) {
    let url = format!("{}{PODS}/hello/ephemeralcontainers", api.server);
    let container = json!({"name": "look", "image": "busybox", "targetContainerName": "web",
        "command": ["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline"]});
    let patch = json!({"spec": {"ephemeralContainers": [container]}});
    let (status, said) = api.runtime.block_on(async {
        let request = api.client.patch(&url).header("content-type", "application/strategic-merge-patch+json");
        let answer = request.body(patch.to_string()).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    });
    assert!(status.is_success(), "{said}");
    let ended = until("an ephemeral container that ended", || {
        let pod = api.get(&format!("{PODS}/hello"))?;
        let state = pod["status"]["ephemeralContainerStatuses"][0]["state"]["terminated"].clone();
        state.is_object().then_some(state)
    });
    assert_eq!(ended["exitCode"], 0, "{ended}");
    let seen = api.text(&format!("{PODS}/hello/log?container=look")).unwrap();
    assert!(seen.contains("helloworld"), "{seen}");
    assert_eq!(api.get(&format!("{PODS}/hello")).unwrap()["status"]["phase"], "Running");
}

/// What a pod uses is measured, and an autoscaler answers to it.
fn usage(api: &Api) {
    let template = json!({"metadata": {"labels": {"app": "busy"}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
        "name": "busy", "image": "busybox", "command": ["sh", "-c", "while :; do :; done"],
        "resources": {"requests": {"cpu": "10m"}},
    }]}});
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    api.create(
        deployments,
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "busy"},
            "spec": {"selector": {"matchLabels": {"app": "busy"}}, "template": template},
        }),
    );
    let autoscalers = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    api.create(
        autoscalers,
        &json!({
            "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "busy"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"},
                "maxReplicas": 2, "targetCPUUtilizationPercentage": 50},
        }),
    );
    until("a second replica", || {
        (api.get(&format!("{deployments}/busy"))?["spec"]["replicas"] == 2).then_some(())
    });
    let told = until("the use of the CPU", || {
        api.get(&format!("{autoscalers}/busy"))?["status"]["currentCPUUtilizationPercentage"].as_i64()
    });
    assert!(told > 50, "{told}");
    let metrics =
        api.get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dbusy").unwrap();
    assert_eq!(metrics["items"][0]["containers"][0]["name"], "busy", "{metrics}");
    for path in [format!("{autoscalers}/busy"), format!("{deployments}/busy")] {
        api.delete(&path);
    }
}

/// Where a pod was, and where none ever was, connections are refused: nobody waits for an answer.
fn addresses_without_a_pod(api: &Api, gone: &Value) {
    let was = gone["podIPs"].as_array().unwrap().iter().map(|one| one["ip"].as_str().unwrap());
    let families = was.clone().count();
    let never = ["10.244.200.200", "fd00:10:244::c8c8"];
    for (number, address) in was.chain(never.into_iter().take(families)).enumerate() {
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let name = format!("caller-{number}");
        api.create(PODS, &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [{
                "name": "caller", "image": "curl", "args": ["-s", "-S", format!("http://{address}:5000/hello")],
            }]},
        }));
        until("a caller that gave up", || {
            (api.get(&format!("{PODS}/{name}"))?["status"]["phase"] == "Failed").then_some(())
        });
        let said = api.text(&format!("{PODS}/{name}/log")).unwrap();
        assert!(said.contains("Connection refused"), "{address}: {said}");
    }
}

/// A sample that takes its time is not called ready before it listens.
fn slow_sample(api: &Api) {
    let slow = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "slow"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "c", "image": "curl", "command": ["sh", "-c", "sleep 2; exec /.sagene sample nc -l -p 7000"], "ports": [{"containerPort": 7000}],
        }]},
    });
    api.create(PODS, &slow);
    let (started, ready) = until("a sample that listens", || {
        let pod = api.get(&format!("{PODS}/slow"))?;
        let conditions = pod["status"]["conditions"].as_array()?;
        let ready = conditions.iter().find(|it| it["type"] == "Ready" && it["status"] == "True")?;
        let started = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
        Some((seconds(started)?, seconds(&ready["lastTransitionTime"])?))
    });
    assert!(ready > started, "ready {ready}, started {started}");
}

/// A time of Kubernetes, which knows whole seconds.
fn seconds(time: &Value) -> Option<i64> {
    Some(time.as_str()?.parse::<jiff::Timestamp>().ok()?.as_second())
}

/// A sidecar hears of the pod's end when it begins, and the pod's object goes as soon as it may, also where that failed at first.
fn ends(api: &Api, running: &RunningCluster) {
    const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    let folder = tempfile::tempdir().unwrap();
    let mounts = json!([{"name": "shared", "mountPath": "/shared"}]);
    let idles = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let waits = "trap 'until [ -e /shared/go ]; do sleep 0.1; done; exit 0' TERM; touch /shared/started; while :; do sleep 0.1; done";
    api.create(PODS, &json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ends"},
        "spec": {
            "terminationGracePeriodSeconds": 3600,
            "volumes": [{"name": "shared", "hostPath": {"path": folder.path()}}],
            "initContainers": [{
                "name": "sidecar", "image": "any", "command": ["sh", "-c", idles], "restartPolicy": "Always", "volumeMounts": mounts,
                "lifecycle": {"preStop": {"exec": {"command": ["touch", "/shared/announced"]}}},
            }],
            "containers": [{"name": "c", "image": "any", "command": ["sh", "-c", waits], "volumeMounts": mounts}],
        },
    }));
    let is_there = |name: &str| folder.path().join(name).exists().then_some(());
    until("a container that runs", || is_there("started"));
    api.delete(&format!("{PODS}/ends"));
    until("the hook of a sidecar whose application runs on", || is_there("announced"));
    // Nobody answers there.
    api.create(WEBHOOKS, &json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "keeps"},
        "webhooks": [{
            "name": "keeps.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
            "clientConfig": {"service": {"name": "nobody", "namespace": "default"}},
            "rules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }],
    }));
    std::fs::write(folder.path().join("go"), []).unwrap();
    until("an attempt to remove the pod", || {
        let log = std::fs::read_to_string(&running.log_path).ok()?;
        log.contains("cannot remove the pod's object").then_some(())
    });
    assert!(api.get(&format!("{PODS}/ends")).is_some());
    api.delete(&format!("{WEBHOOKS}/keeps"));
    until("the end of the pod's object", || api.get(&format!("{PODS}/ends")).is_none().then_some(()));
}

/// What one pod writes into a claim's volume, another reads.
fn claims(api: &Api) {
    api.create(
        "/api/v1/namespaces/default/persistentvolumeclaims",
        &json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }),
    );
    for (name, command) in [("writer", "echo kept > /data/file"), ("reader", "cat /data/file")] {
        api.create(PODS, &json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never", "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
                "containers": [{"name": "c", "image": "any", "command": ["sh", "-c", command],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            },
        }));
        until("a pod that used the claim", || {
            (api.get(&format!("{PODS}/{name}"))?["status"]["phase"] == "Succeeded").then_some(())
        });
    }
    assert_eq!(api.text(&format!("{PODS}/reader/log")).unwrap(), "kept\n");
}

fn server_pod_without_volumes() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "later"},
        "spec": {"containers": [{"name": "web", "image": "docker.io/istio/examples-helloworld-v1:1.0"}]},
    })
}

fn server_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello", "labels": {"app": "hello"}},
        "spec": {
            "volumes": [{"name": "words", "configMap": {"name": "words"}}],
            "initContainers": [{
                "name": "first", "image": "any", "command": ["sh", "-c", "echo \"$(cat /etc/words/deep/greeting) from $NAME\""],
                "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "volumeMounts": [{"name": "words", "mountPath": "/etc/words/deep"}],
            }],
            "containers": [{
                "name": "web", "image": "docker.io/istio/examples-helloworld-v1:1.0",
                "ports": [{"name": "http", "containerPort": 5000}],
                "readinessProbe": {"httpGet": {"path": "/hello", "port": "http"}, "periodSeconds": 1},
            }],
        },
    })
}
