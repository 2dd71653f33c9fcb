//! `analyze` and `explain` on files: formats, exit codes, fixes.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Output, finish, sagene};

const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: a\nspec:\n  hosts: [a.com]\n  gateways:\n  - nope # gone\n  http:\n  - redirect: {uri: /}\n";

struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        for (name, bytes) in files {
            std::fs::write(directory.path().join(name), bytes).expect("file");
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn analyze(path: &Path, arguments: &[&str]) -> Output {
    run(&["analyze", "--use-kube=false", path.to_str().expect("path")], arguments, "")
}

fn run(command: &[&str], arguments: &[&str], input: &str) -> Output {
    run_with(command, arguments, input, &[])
}

fn run_with(command: &[&str], arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().expect("temporary directory");
    let mut program = sagene();
    program.env("HOME", home.path()).env("SAGENE_HOME", home.path().join("sagene"));
    program.envs(environment.iter().copied()).args(command).args(arguments);
    finish(program, input)
}

#[test]
fn a_large_file_is_analyzed_where_no_thread_can_be_started() {
    let objects: Vec<String> =
        (0..2_000).map(|number| GATEWAY.replace("name: a\n", &format!("name: a{number}\n"))).collect();
    let large = objects.join("---\n");
    // A stack that no memory has room for: every thread is refused, as with a full process table.
    let refused = [("RUST_MIN_STACK", "100000000000000")];
    let command = ["analyze", "--use-kube=false", "-"];
    let (alone, usual) = (run_with(&command, &[], &large, &refused), run(&command, &[], &large));
    assert!(usual.stdout.contains("a1999"), "{}", usual.stderr);
    assert_eq!((alone.code, alone.stdout), (usual.code, usual.stdout), "{}", alone.stderr);
}

#[test]
fn every_format_tells_the_same_and_fails_alike() {
    let files = Files::new(&[("v.yaml", GATEWAY.as_bytes())]);
    let path = files.path("v.yaml");
    let name = path.to_str().expect("path");
    let log = analyze(&path, &[]);
    assert_eq!(
        log.stdout,
        format!(
            "Error [IST0101] (VirtualService default/a {name}:8) Referenced gateway not found: \"nope\"\n\
             Warning [IST0132] (VirtualService default/a {name}:8) one or more host [a.com] defined in VirtualService default/a not found in Gateway default/nope.\n"
        )
    );
    assert!(log.stderr.contains("Looked at 1 object: 1 VirtualService."), "{log:?}");
    for format in ["log", "json", "yaml", "sarif", "github", "source"] {
        assert_eq!(analyze(&path, &["-o", format]).code, 79, "{format}");
    }
    let json: Value = serde_json::from_str(&analyze(&path, &["-o", "json"]).stdout).expect("JSON");
    assert_eq!(json[0]["reference"], format!("{name}:8"));
    assert_eq!(json[0]["origin"], "VirtualService default/a");
    let sarif: Value = serde_json::from_str(&analyze(&path, &["-o", "sarif"]).stdout).expect("JSON");
    let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!(*region, serde_json::json!({"startLine": 8, "startColumn": 5, "endLine": 8, "endColumn": 9}));
    let github = analyze(&path, &["-o", "github"]).stdout;
    assert!(
        github.starts_with(&format!("::error file={name},line=8,col=5,endLine=8,endColumn=9,title=")),
        "{github}"
    );
    let source = analyze(&path, &["-o", "source"]).stdout;
    assert!(source.contains("- nope # gone") && source.contains("━━━━"), "{source}");
    let colored = analyze(&path, &["--color=always"]).stdout;
    assert!(colored.starts_with("\u{1b}[1;31mError\u{1b}[0m [IST0101]"), "{colored:?}");
}

#[test]
fn thresholds_suppressions_and_mistakes_of_the_command_line() {
    let files = Files::new(&[
        ("v.yaml", GATEWAY.as_bytes()),
        ("n.yaml", b"apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"),
    ]);
    let (broken, namespace) = (files.path("v.yaml"), files.path("n.yaml"));
    assert_eq!(analyze(&namespace, &["-A"]).code, 0);
    assert_eq!(
        analyze(&namespace, &["-A", "--failure-threshold", "info", "--output-threshold", "error"]).code,
        79
    );
    let elsewhere = analyze(&namespace, &[]);
    assert!(
        elsewhere.stderr.contains("1 finding(s) in other namespaces than \"default\" are not shown (1 shop)"),
        "{elsewhere:?}"
    );
    for suppression in [
        "IST0101=VirtualService default/a,IST0132=VirtualService default/a",
        "IST0132=VirtualService a.default,IST0101=VirtualService a.default",
        "*=*",
        "IST0102=x,IST01*=* default/*",
    ] {
        let output = analyze(&broken, &["--suppress", suppression]);
        assert_eq!((output.code, output.stdout.as_str()), (0, "\n"), "{suppression}");
        assert!(output.stderr.contains("✔ No validation issues found"), "{output:?}");
    }
    assert_eq!(analyze(&broken, &["--analyzer", "service.PortNameAnalyzer"]).code, 0);
    let unknown = analyze(&broken, &["--analyzer", "service.PortNameAnalyser"]);
    assert!(
        unknown.code == 64 && unknown.stderr.contains("did you mean service.PortNameAnalyzer?"),
        "{unknown:?}"
    );
    assert_eq!(analyze(&broken, &["-o", "xml"]).code, 64);
    assert_eq!(analyze(&broken, &["--suppress", "IST0101"]).code, 64);
    assert_eq!(analyze(&files.path("missing.yaml"), &[]).code, 1);
    assert_eq!(run(&["analyze", "--use-kube=false"], &[], "").code, 64);
}

#[test]
fn what_cannot_be_read_is_named_by_place() {
    let files = Files::new(&[
        ("a.yaml", b"# first\n---\nkind: [\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80, name: http}]}\n"),
        ("b.yaml", b"kind: A\n\tx: y\n"),
        ("c.yaml", b"kind: \xff\n"),
        ("d.yaml", b"apiVersion: v1\nkind: {{ .Values.kind }}\n"),
        ("e.json", b"{\"apiVersion\": \"v1\",\n \"kind\" 1}"),
        ("f.yaml", b"just: values\n"),
    ]);
    let output = analyze(files.0.path(), &[]);
    assert_eq!(output.code, 65, "{output:?}");
    for place in [
        "a.yaml:3:8:",
        "b.yaml:2:",
        "c.yaml:1:7: is not UTF-8",
        "d.yaml:2:",
        "e.json:2:",
        "f.yaml:1:1: no Kubernetes object",
    ] {
        assert!(output.stderr.contains(place), "{place}: {}", output.stderr);
    }
    assert!(
        output.stderr.contains("render it first") && output.stderr.contains("not with tabs"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("Looked at 1 object: 1 Service."), "{}", output.stderr);
    assert_eq!(analyze(files.0.path(), &["--ignore-unknown"]).code, 0);
    let piped = run(&["analyze", "--use-kube=false", "-"], &[], GATEWAY);
    assert!(piped.stdout.contains("(VirtualService default/a -:8)"), "{piped:?}");
}

#[test]
fn the_rules_of_one_kind_can_be_asked_for_alone() {
    let gateway =
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {servrs: []}\n---\n";
    let files =
        Files::new(&[("a.yaml", format!("{gateway}{}", gateway.replace("Gateway", "Sidecar")).as_bytes())]);
    let found = |analyzer: &str| analyze(&files.path("a.yaml"), &["--analyzer", analyzer]).stdout;
    let of_gateway = found("schema.ValidationAnalyzer.Gateway");
    assert!(of_gateway.contains("spec.servrs") && !of_gateway.contains("Sidecar"), "{of_gateway}");
    assert!(found("schema.ValidationAnalyzer").contains("(Sidecar default/g "));
}

fn kubeconfig(server: std::net::SocketAddr) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\ncurrent-context: c\n"
    )
}

#[test]
fn a_server_that_never_answers_is_left_alone_in_time() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("address");
    let files = Files::new(&[("config", kubeconfig(address).as_bytes())]);
    let path = files.path("config");
    let output = run(&["analyze", "--kubeconfig", path.to_str().expect("path")], &["--timeout", "1s"], "");
    assert!(output.code == 1 && output.stderr.contains("were not read within 1s"), "{output:?}");
}

/// A server that lets nobody see anything, for as long as the process lives.
fn refusing_server() -> std::net::SocketAddr {
    use std::io::{BufRead, BufReader, Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("address");
    std::thread::spawn(move || {
        for connection in server.incoming().flatten() {
            let mut reader = BufReader::new(connection);
            let head = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            head.for_each(drop);
            let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"no","code":403}"#;
            let answer = format!(
                "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            // Whoever hangs up early does not want the answer.
            let _gone = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn credentials_that_allow_nothing_are_no_clean_bill_of_health() {
    let files =
        Files::new(&[("config", kubeconfig(refusing_server()).as_bytes()), ("v.yaml", GATEWAY.as_bytes())]);
    let (config, file) = (files.path("config"), files.path("v.yaml"));
    let command = ["analyze", "--kubeconfig", config.to_str().expect("path")];
    for format in ["log", "json"] {
        let alone = run(&command, &["-o", format], "");
        assert_eq!(alone.code, 1, "{alone:?}");
        assert!(alone.stderr.contains("could be looked at: no permission to list"), "{alone:?}");
        assert!(!alone.stderr.contains("No validation issues"), "{alone:?}");
    }
    let with_file = run(&command, &[file.to_str().expect("path")], "");
    assert_eq!(with_file.code, 0, "whether the gateway exists is not known: {with_file:?}");
    assert!(with_file.stderr.contains("Nothing was found in what could be looked at"), "{with_file:?}");
}

#[test]
fn validate_reads_directories_that_lead_into_themselves() {
    let files = Files::new(&[("a.yaml", GATEWAY.as_bytes()), ("b.yaml", b"kind: \xff\n")]);
    std::os::unix::fs::symlink(files.0.path(), files.path("again")).expect("link");
    let output = run(&["validate", "-f", files.0.path().to_str().expect("path")], &[], "");
    assert!(output.code == 1 && output.stderr.contains("b.yaml:1:7: is not UTF-8"), "{output:?}");
    assert_eq!(output.stderr.matches("a.yaml").count(), 1, "{output:?}");
}

#[test]
fn validate_and_analyze_judge_every_document_alike() {
    let twice = GATEWAY.replacen("spec:", "kind: VirtualService\nspec:", 1);
    let files = Files::new(&[("a.yaml", format!("{twice}---\n{GATEWAY}").as_bytes())]);
    let path = files.path("a.yaml");
    let path = path.to_str().expect("path");
    let line = twice.lines().position(|line| line == "spec:").expect("a line");
    let validated = run(&["validate", "-f", path], &[], "");
    let place = format!("a.yaml:{line}:7: ");
    assert!(validated.code == 1 && validated.stderr.contains(&place), "{validated:?}");
    let words = "kind: key \"kind\" is set again, first on line 2; remove one of them";
    assert!(validated.stderr.contains(words), "{validated:?}");
    let analyzed = analyze(files.0.path(), &["-o", "github"]);
    assert!(
        analyzed.code == 79 && analyzed.stdout.contains(&format!("a.yaml,line={line},col=7")),
        "{analyzed:?}"
    );
    assert!(analyzed.stdout.contains(words), "{analyzed:?}");
}

#[test]
fn fixes_are_shown_and_written_and_keep_the_rest() {
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: note}\nspec: {selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com]}]}\n";
    let files = Files::new(&[("v.yaml", GATEWAY.as_bytes()), ("g.yaml", gateway.as_bytes())]);
    let directory = files.0.path();
    let read = || std::fs::read_to_string(files.path("v.yaml")).expect("file");
    let shown = analyze(directory, &["--fix"]);
    assert!(shown.stdout.contains("-  - nope # gone\n+  - note # gone\n"), "{shown:?}");
    assert_eq!((shown.code, read().as_str()), (79, GATEWAY));
    let written = analyze(directory, &["--fix", "--write"]);
    assert_eq!((written.code, read()), (0, GATEWAY.replace("nope", "note")), "{written:?}");
    let again = analyze(directory, &["--fix", "--write"]);
    assert!(again.code == 0 && again.stdout.trim().is_empty(), "{again:?}");
    assert_eq!(std::fs::read_dir(directory).expect("directory").count(), 2);
}

#[test]
fn explain_needs_no_network_and_knows_what_was_meant() {
    let page = run(&["explain", "ist0101"], &[], "");
    assert!(
        page.code == 0 && page.stdout.starts_with("# IST0101 ReferencedResourceNotFound (Error)\n"),
        "{page:?}"
    );
    assert!(run(&["explain"], &[], "").stdout.lines().count() > 10);
    let wrong = run(&["explain", "IST1010"], &[], "");
    assert!(wrong.code == 64 && wrong.stderr.contains("IST0101"), "{wrong:?}");
}
