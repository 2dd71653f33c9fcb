//! `sagene kubectl` in the words of kubectl.

use crate::server::Server;

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  key: one\n";

#[test]
fn apply_tells_created_unchanged_and_configured() {
    let server = Server::start();
    let file = server.file("a.yaml", CONFIG_MAP);
    let path = file.to_str().expect("path");
    for expected in ["configmap/a created\n", "configmap/a unchanged\n"] {
        let output = server.run(&["kubectl", "apply", "-f", path]);
        assert_eq!((output.code, output.stdout.as_str()), (0, expected), "{}", output.stderr);
    }
    let output = server.run_with_input(&["kubectl", "apply", "-f", "-"], &CONFIG_MAP.replace("one", "two"));
    assert_eq!(output.stdout, "configmap/a configured\n", "{}", output.stderr);
    let output = server.run(&["kubectl", "get", "cm", "a", "-o", "jsonpath={.data.key}"]);
    assert_eq!(output.stdout, "two", "{}", output.stderr);
}

#[test]
fn what_would_change_is_shown_and_what_is_no_more_is_pruned() {
    let server = Server::start();
    let labelled = |name: &str| CONFIG_MAP.replace("name: a", &format!("name: {name}\n  labels: {{app: x}}"));
    let both = format!("{}---\n{}", labelled("a"), labelled("b"));
    server.run_with_input(&["kubectl", "apply", "-f", "-"], &both);
    let same = server.run_with_input(&["kubectl", "diff", "-f", "-"], &both);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""), "{}", same.stderr);
    let changed = server.run_with_input(&["kubectl", "diff", "-f", "-"], &both.replacen("one", "two", 1));
    assert_eq!(changed.code, 1, "{}", changed.stderr);
    assert!(changed.stdout.contains("\n-  key: one\n+  key: two\n"), "{}", changed.stdout);
    assert_eq!(server.run(&["kubectl", "diff", "-f", "/nowhere"]).code, 2);
    let limitless = server.run_with_input(&["kubectl", "apply", "--prune", "-f", "-"], &labelled("a"));
    assert_eq!(limitless.code, 1, "{}", limitless.stdout);
    let pruned =
        server.run_with_input(&["kubectl", "apply", "--prune", "-l", "app=x", "-f", "-"], &labelled("a"));
    assert_eq!(pruned.stdout, "configmap/a unchanged\nconfigmap/b pruned\n", "{}", pruned.stderr);
}

#[test]
fn get_prints_the_servers_table_and_names_what_is_missing() {
    let server = Server::start();
    let output = server.run(&["kubectl", "get", "namespaces"]);
    assert!(output.stdout.starts_with("NAME") && output.stdout.contains("\ndefault "), "{output:?}");
    let output = server.run(&["kubectl", "get", "pods"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, "No resources found in default namespace.\n"));
    let output = server.run(&["kubectl", "get", "pod", "x"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (1, "Error from server (NotFound): pods \"x\" not found\n")
    );
    let output = server.run(&["kubectl", "get", "deploymets"]);
    assert!(
        output.stderr.starts_with("error: the server doesn't have a resource type \"deploymets\""),
        "{output:?}"
    );
    assert!(output.stderr.contains("did you mean \"deployments\""), "{output:?}");
}

#[test]
fn labels_are_set_kept_and_removed() {
    let server = Server::start();
    let label = |change: &str| server.run(&["kubectl", "label", "namespace", "default", change]);
    assert_eq!(label("istio-injection=enabled").stdout, "namespace/default labeled\n");
    assert_eq!(label("istio-injection=enabled").stdout, "namespace/default not labeled\n");
    let refused = label("istio-injection=disabled");
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("'istio-injection' already has a value (enabled), and --overwrite is false")
    );
    assert_eq!(label("istio-injection-").stdout, "namespace/default unlabeled\n");
}

#[test]
fn delete_waits_until_objects_are_gone() {
    let server = Server::start();
    server.run_with_input(&["kubectl", "apply", "-f", "-"], CONFIG_MAP);
    let output = server.run(&["kubectl", "delete", "configmap/a"]);
    assert_eq!(output.stdout, "configmap \"a\" deleted from default namespace\n", "{}", output.stderr);
    let output = server.run(&["kubectl", "delete", "configmap", "a"]);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("NotFound"), "{output:?}");
    let output = server.run(&["kubectl", "delete", "configmap", "a", "--ignore-not-found"]);
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn bad_manifests_are_refused_with_their_file() {
    let server = Server::start();
    let apply = |text: &str| server.run_with_input(&["kubectl", "apply", "-f", "-"], text);
    let unknown = apply("apiVersion: example.com/v1\nkind: Nope\nmetadata:\n  name: a\n");
    assert_eq!(unknown.code, 1);
    assert!(
        unknown.stderr.contains("no matches for kind \"Nope\" in version \"example.com/v1\""),
        "{unknown:?}"
    );
    let broken = apply("a: [");
    assert!(broken.code == 1 && broken.stderr.starts_with("error: error parsing -"), "{broken:?}");
    let field = apply(&CONFIG_MAP.replace("\ndata:", "\ndta:"));
    assert!(field.code == 1 && field.stderr.contains("dta"), "{field:?}");
    let missing = server.run(&["kubectl", "apply", "-f", "/nonexistent.yaml"]);
    assert_eq!(missing.stderr, "error: the path \"/nonexistent.yaml\" does not exist\n");
}

#[test]
fn namespaces_and_types_are_listed_and_created() {
    let server = Server::start();
    let output = server.run(&["kubectl", "create", "namespace", "shop"]);
    assert_eq!(output.stdout, "namespace/shop created\n", "{}", output.stderr);
    let again = server.run(&["kubectl", "create", "ns", "shop"]);
    assert!(again.code == 1 && again.stderr.contains("AlreadyExists"), "{again:?}");
    let types = server.run(&["kubectl", "api-resources", "-o", "name"]);
    assert!(types.stdout.lines().any(|line| line == "deployments.apps"), "{types:?}");
    let described = server.run(&["kubectl", "describe", "namespace", "shop"]);
    assert!(described.stdout.starts_with("Name:         shop\n"), "{described:?}");
}

#[test]
fn secrets_and_config_maps_are_made_from_files_and_literals() {
    let server = Server::start();
    let file = server.file("motd", "hello\n");
    let from = format!("--from-file={}", file.display());
    let made = server.run(&["kubectl", "create", "secret", "generic", "s", &from, "--from-literal=user=a=b"]);
    assert_eq!((made.code, made.stdout.as_str()), (0, "secret/s created\n"), "{made:?}");
    let data =
        server.run(&["kubectl", "get", "secret", "s", "-o", "jsonpath={.data.motd} {.data.user} {.type}"]);
    assert_eq!(data.stdout, "aGVsbG8K YT1i Opaque", "{data:?}");

    let named = format!("--from-file=greeting={}", file.display());
    server.run(&["kubectl", "create", "configmap", "c", &named]);
    let data = server.run(&["kubectl", "get", "configmap", "c", "-o", "jsonpath={.data.greeting}"]);
    assert_eq!(data.stdout, "hello\n", "{data:?}");

    let path = file.to_str().expect("path");
    let refused = server.run(&["kubectl", "create", "secret", "tls", "t", "--cert", path, "--key", path]);
    assert!(refused.code == 1 && refused.stderr.contains("motd holds no PEM certificate"), "{refused:?}");
    let twice =
        server.run(&["kubectl", "create", "configmap", "d", "--from-literal=a=1", "--from-literal=a=2"]);
    assert!(twice.code == 1 && twice.stderr.contains("cannot add key a"), "{twice:?}");
}

#[test]
fn roles_and_their_bindings_are_made_from_verbs_types_and_names() {
    let server = Server::start();
    let create = |arguments: &str| {
        let words: Vec<&str> = ["kubectl", "create"].into_iter().chain(arguments.split(' ')).collect();
        server.run(&words)
    };
    let object = |title: &str| -> serde_json::Value {
        let shown = server.run(&["kubectl", "get", title, "-o", "json"]);
        serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:?}"))
    };
    let made = create(
        "role reader --verb=get,list --verb=get --resource=po,deploy.apps/scale --resource-name=a --resource-name=b",
    );
    assert_eq!(made.stdout, "role.rbac.authorization.k8s.io/reader created\n", "{made:?}");
    let rule = |group: &str, resource: &str| {
        serde_json::json!({"verbs": ["get", "list"], "apiGroups": [group], "resources": [resource],
            "resourceNames": ["a", "b"]})
    };
    assert_eq!(
        object("role/reader")["rules"],
        serde_json::json!([rule("", "pods"), rule("apps", "deployments/scale")])
    );
    let made = create("clusterrole metrics --verb=get --resource=nodes --non-resource-url=/metrics,/logs/*");
    assert_eq!(made.stdout, "clusterrole.rbac.authorization.k8s.io/metrics created\n", "{made:?}");
    assert_eq!(
        object("clusterrole/metrics")["rules"][1],
        serde_json::json!({"verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]})
    );
    let made = create("rolebinding readers --role=reader --user=eve --group=crew --serviceaccount=shop:cart");
    assert_eq!(made.stdout, "rolebinding.rbac.authorization.k8s.io/readers created\n", "{made:?}");
    let binding = object("rolebinding/readers");
    assert_eq!(binding["roleRef"]["kind"], "Role", "{binding}");
    assert_eq!(
        binding["subjects"],
        serde_json::json!([
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve"},
            {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "crew"},
            {"kind": "ServiceAccount", "name": "cart", "namespace": "shop"},
        ])
    );
    let made = create("clusterrolebinding metrics --clusterrole=metrics --serviceaccount=shop:cart");
    assert_eq!(made.stdout, "clusterrolebinding.rbac.authorization.k8s.io/metrics created\n", "{made:?}");
    // Whoever is bound may do it, and nothing else.
    let may = |what: &str| {
        let answer =
            server.run(&["kubectl", "auth", "can-i", "get", what, "--as=system:serviceaccount:shop:cart"]);
        answer.stdout.trim().to_owned()
    };
    assert_eq!((may("nodes").as_str(), may("secrets").as_str()), ("yes", "no"));
    create("clusterrole all --aggregation-rule=part=of-all");
    create("clusterrolebinding all --clusterrole=all --serviceaccount=shop:cart");
    create("clusterrole secrets --verb=get --resource=secrets");
    assert_eq!(may("secrets"), "no");
    server.run(&["kubectl", "label", "clusterrole", "secrets", "part=of-all"]);
    assert_eq!((may("secrets").as_str(), may("pods").as_str()), ("yes", "no"));
}

#[test]
fn roles_that_say_too_little_or_name_what_there_is_not_are_refused() {
    let server = Server::start();
    let create = |arguments: &str| {
        let words: Vec<&str> = ["kubectl", "create"].into_iter().chain(arguments.split(' ')).collect();
        server.run(&words)
    };
    let shown = create("role dry --verb=get --resource=*.apps,deploy --dry-run=client -o json");
    let role: serde_json::Value = serde_json::from_str(&shown.stdout).expect("a role");
    assert_eq!(role["metadata"], serde_json::json!({"name": "dry"}), "{shown:?}");
    assert_eq!(
        (&role["rules"][0]["apiGroups"][0], &role["rules"][0]["resources"]),
        (&"apps".into(), &serde_json::json!(["*"]))
    );
    for (arguments, message) in [
        ("role x --resource=pods", "error: at least one verb must be specified"),
        ("role x --verb=get", "error: at least one resource must be specified"),
        (
            "role x --verb=get --resource=pod,deplyments",
            "the server doesn't have a resource type \"deplyments\"",
        ),
        ("clusterrole x --verb=list --non-resource-url=/x", "invalid verb: 'list' for nonResourceURL"),
        ("role x --verb=bind --resource=pods", "error: can not perform 'bind' on 'pods' in group ''"),
        ("rolebinding x --user=eve", "exactly one of clusterrole or role must be specified"),
        ("rolebinding x --role=a --serviceaccount=cart", "serviceaccount must be <namespace>:<name>"),
    ] {
        let refused = create(arguments);
        assert!(refused.code != 0 && refused.stderr.contains(message), "{arguments}: {refused:?}");
    }
}

#[test]
fn patches_of_every_kind_change_what_they_say() {
    let server = Server::start();
    server.run_with_input(&["kubectl", "apply", "-f", "-"], CONFIG_MAP);
    let patch =
        |arguments: &[&str]| server.run(&[&["kubectl", "patch", "configmap", "a"], arguments].concat());
    for (arguments, expected) in [
        (&["-p", "{\"data\": {\"other\": \"two\"}}"][..], "configmap/a patched\n"),
        (&["-p", "data: {other: two}"], "configmap/a patched (no change)\n"),
        (&["--type", "merge", "-p", "data: {key: null}"], "configmap/a patched\n"),
        (
            &[
                "--type=json",
                "-p",
                "[{\"op\": \"replace\", \"path\": \"/data/other\", \"value\": \"three\"}]",
            ],
            "configmap/a patched\n",
        ),
        (
            &["-p", "data: {other: four}", "--dry-run=server", "-o", "yaml"],
            "apiVersion: v1\ndata:\n  other: four\n",
        ),
    ] {
        let output = patch(arguments);
        assert!(output.code == 0 && output.stdout.starts_with(expected), "{arguments:?}: {output:?}");
    }
    let data = server.run(&["kubectl", "get", "configmap", "a", "-o", "jsonpath={.data}"]);
    assert_eq!(data.stdout, "{\"other\":\"three\"}", "{data:?}");
    let refused = patch(&["-p", "[]"]);
    assert!(refused.code == 1 && refused.stderr.contains("--type json"), "{refused:?}");
}

#[test]
fn the_namespace_of_a_context_is_what_commands_without_one_mean() {
    let server = Server::start();
    let set = server.run(&["kubectl", "config", "set-context", "--current", "--namespace=shop"]);
    assert_eq!((set.code, set.stdout.as_str()), (0, "Context \"test\" modified.\n"), "{set:?}");
    let pods = server.run(&["kubectl", "get", "pods"]);
    assert_eq!(pods.stderr, "No resources found in shop namespace.\n", "{pods:?}");
    let view = server.run(&["kubectl", "config", "view", "--minify", "-o", "jsonpath={..namespace}"]);
    assert_eq!(view.stdout, "shop", "{view:?}");
    let view = server.run(&["kubectl", "config", "view"]);
    assert!(view.stdout.contains("client-key-data: DATA+OMITTED"), "{view:?}");
    let contexts = server.run(&["kubectl", "config", "get-contexts", "--no-headers"]);
    assert_eq!(contexts.stdout.split_whitespace().collect::<Vec<_>>(), ["*", "test", "test", "test", "shop"]);
    let missing = server.run(&["kubectl", "config", "use-context", "nowhere"]);
    assert!(missing.code == 1 && missing.stderr.contains("no context exists"), "{missing:?}");
}

#[test]
fn run_makes_a_pod_of_an_image_and_a_command_line() {
    let server = Server::start();
    let shown = server.run(&[
        "kubectl",
        "run",
        "x",
        "--image=busybox",
        "--restart=Never",
        "--env=A=b",
        "--labels=app=x",
        "--overrides={\"spec\": {\"hostNetwork\": true}}",
        "--dry-run=client",
        "-o",
        "json",
        "--command",
        "--",
        "sh",
        "-c",
        "true",
    ]);
    let pod: serde_json::Value = serde_json::from_str(&shown.stdout).expect("a pod");
    assert_eq!(pod["spec"]["containers"][0]["command"], serde_json::json!(["sh", "-c", "true"]), "{pod}");
    assert_eq!((&pod["metadata"]["labels"]["app"], &pod["spec"]["hostNetwork"]), (&"x".into(), &true.into()));
    let made = server.run(&["kubectl", "run", "y", "--image=busybox"]);
    assert_eq!((made.code, made.stdout.as_str()), (0, "pod/y created\n"), "{made:?}");
    let label = server.run(&["kubectl", "get", "pod", "y", "-o", "jsonpath={.metadata.labels.run}"]);
    assert_eq!(label.stdout, "y", "{label:?}");
    let refused = server.run(&["kubectl", "run", "z", "--image=busybox", "--rm"]);
    assert!(refused.code == 1 && refused.stderr.contains("--rm should only be used"), "{refused:?}");
}

#[test]
fn a_drain_evicts_what_it_may_and_says_what_keeps_it() {
    let server = Server::start();
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: one}\n";
    let pod = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec: {{nodeName: one, \
             terminationGracePeriodSeconds: 0, containers: [{{name: c, image: i}}]}}\n"
        )
    };
    let account = "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n";
    let budget = "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\n\
                  spec: {minAvailable: 1, selector: {matchLabels: {app: needed}}}\n";
    let objects = format!("{node}{account}{}{}{budget}", pod("a"), pod("needed"));
    let applied = server.run_with_input(&["kubectl", "apply", "-f", "-"], &objects);
    assert_eq!(applied.code, 0, "{applied:?}");
    let refused = server.run(&["kubectl", "drain", "one"]);
    assert!(refused.code == 1 && refused.stderr.contains("--force to override): default/a"), "{refused:?}");
    let drained = server.run(&["kubectl", "drain", "one", "--force", "--pod-selector=app=a"]);
    assert_eq!(drained.stdout, "node/one already cordoned\npod/a evicted\nnode/one drained\n", "{drained:?}");
    // A budget keeps what is ready alone.
    let status = r#"{"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}"#;
    let ready = server.run(&[
        "kubectl",
        "patch",
        "pod",
        "needed",
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    ]);
    assert_eq!(ready.code, 0, "{ready:?}");
    let kept = server.run(&["kubectl", "drain", "one", "--force", "--timeout=1s"]);
    assert!(kept.code == 1 && kept.stderr.contains("disruption budget"), "{kept:?}");
    let events = server.run(&["kubectl", "events", "--for", "pod/a"]);
    assert_eq!(events.stderr, "No events found in default namespace.\n", "{events:?}");
}

#[test]
fn a_server_that_has_no_answer_is_told_about() {
    let server = Server::start();
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";
    let applied = server.run_with_input(&["kubectl", "apply", "-f", "-"], service);
    assert_eq!(applied.code, 0, "{applied:?}");
    let path = "/api/v1/namespaces/default/services/s/proxy/";
    let refused = server.run(&["kubectl", "get", "--raw", path]);
    assert!(
        refused.code == 1 && refused.stderr.contains("no endpoints available for service"),
        "{refused:?}"
    );
}

#[test]
fn an_object_without_a_name_is_not_all_of_them() {
    let server = Server::start();
    let path = server.file("kept.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}}");
    let path = path.to_str().expect("a path");
    assert_eq!(server.run(&["kubectl", "apply", "-f", path]).code, 0);
    for command in [&["delete", "cm", ""][..], &["get", "cm", ""], &["delete", "cm/"]] {
        let output = server.run(&[&["kubectl"], command].concat());
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("resource name may not be empty"), "{output:?}");
    }
    assert_eq!(server.run(&["kubectl", "get", "cm", "kept"]).code, 0);
}
