//! `examples-helloworld-v1` and `-v2`: says which version answered.

use axum::Router;
use axum::routing::get;

use super::SampleError;
use super::serve::{environment, host_name, port, serve};

pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let version = environment("SERVICE_VERSION", "v1");
    let greeting = format!("Hello version: {version}, instance: {}\n", host_name());
    let routes = Router::new()
        .route("/hello", get(move || async move { greeting }))
        .route("/health", get(|| async { "Helloworld is healthy" }));
    serve(port("helloworld", arguments, 5000)?, routes).await
}
