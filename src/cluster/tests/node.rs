fn main() -> std::process::ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(code) = sagene_cluster::run::internal_entry(&arguments) {
        return code;
    }
    if arguments.get(1).is_some_and(|a| a == "run") {
        return sagene_cluster::run::run(&sagene_cluster::run::RunOptions {
            user_namespace: arguments.get(2).is_some_and(|a| a == "user"),
            ..Default::default()
        });
    }
    std::process::ExitCode::SUCCESS
}
