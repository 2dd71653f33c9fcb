//! `envoyproxy/ratelimit`: the rate limit service of Istio's tutorial. It reads limits from files, counts in redis, and answers
//! Envoy's `ShouldRateLimit` by gRPC and by JSON.

mod counter;
mod limits;
mod log;
mod rules;
mod runtime;
mod serve;
mod settings;
mod statistics;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};

use super::SampleError;
use super::serve::{listen_at, stopped};
use counter::Counter;
use limits::Limits;
use settings::Settings;
use statistics::Statistics;

/// The service with what it knows.
struct Service {
    settings: Settings,
    /// The last limits without a mistake; `None` where there were none yet.
    limits: Mutex<Option<Arc<Limits>>>,
    counter: Counter,
    statistics: Statistics,
}

/// Runs until it is stopped. All settings are environment variables, named as the original's.
pub(super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let problem = |problem: String| SampleError::Argument { applet: "ratelimit", problem };
    if let Some(word) = arguments.first() {
        return Err(problem(format!("{word:?}: there are no arguments; settings are environment variables")));
    }
    let settings = Settings::read(|name| std::env::var(name).ok()).map_err(problem)?;
    log::set_level(settings.log_level);
    let http = listen_at(settings.http).await?;
    let grpc = listen_at(settings.grpc).await?;
    let debug = listen_at(settings.debug).await?;
    log::warning(&format!("Listening for gRPC on '{}'", settings.grpc));
    log::warning(&format!("Listening for HTTP on '{}'", settings.http));
    log::warning(&format!("Listening for debug on '{}'", settings.debug));
    let counter = Counter::new(&settings);
    let service =
        Arc::new(Service { settings, limits: Mutex::default(), counter, statistics: Statistics::default() });
    tokio::select! {
        () = runtime::watch(&service) => Ok(()),
        served = axum::serve(http, http_routes(&service)) => served.map_err(SampleError::Serve),
        served = axum::serve(grpc, grpc_routes(&service)) => served.map_err(SampleError::Serve),
        served = axum::serve(debug, debug_routes(&service)) => served.map_err(SampleError::Serve),
        () = stopped() => Ok(()),
    }
}

fn http_routes(service: &Arc<Service>) -> Router {
    Router::new()
        .route("/healthcheck", get(|| async { "OK" }))
        .route("/json", post(serve::by_json))
        .with_state(service.clone())
}

fn grpc_routes(service: &Arc<Service>) -> Router {
    Router::new()
        .route("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit", post(serve::by_grpc))
        .route("/grpc.health.v1.Health/Check", post(serve::health))
        .fallback(serve::unimplemented)
        .with_state(service.clone())
}

fn debug_routes(service: &Arc<Service>) -> Router {
    Router::new()
        .route("/", get(serve::debug_index))
        .route("/rlconfig", get(serve::shown_limits))
        .route("/stats", get(serve::shown_statistics))
        .with_state(service.clone())
}

impl Service {
    /// The limits in force.
    fn limits(&self) -> Option<Arc<Limits>> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_limits(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(limits));
    }
}

#[cfg(test)]
mod tests;
