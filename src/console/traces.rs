//! Traces: spans taken in from proxies and applications, joined by trace, and asked for.
//!
//! [`receive`] takes Zipkin's JSON and the OpenTelemetry protocol, [`store`] keeps a bounded number of traces, [`query`] answers
//! under Zipkin's paths, [`jaeger`] under Jaeger's.

pub mod jaeger;
pub mod query;
pub mod receive;
pub mod store;

pub use store::TraceStore;

use std::sync::Arc;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;

/// A collector with its page: everything that takes spans and everything that shows them, on every address it is given.
///
/// # Errors
/// What a listener says when it can accept no more.
pub async fn serve(listeners: Vec<TcpListener>, end: impl Future<Output = ()>) -> std::io::Result<()> {
    let store = Arc::new(TraceStore::default());
    let router = Router::new()
        .route("/", get(|| async { Redirect::temporary("/kiali/traces") }))
        .route("/search", get(|| async { Redirect::temporary("/kiali/traces") }))
        .route("/jaeger", get(|| async { Redirect::temporary("/kiali/traces") }))
        .route("/jaeger/search", get(|| async { Redirect::temporary("/kiali/traces") }))
        .route("/kiali/traces", get(crate::server::traces_page))
        .route("/kiali/assets/{name}", get(crate::server::asset_of))
        .route("/zipkin", get(|| async { Redirect::temporary("/kiali/traces") }))
        .route("/zipkin/", get(|| async { Redirect::temporary("/kiali/traces") }))
        .route("/healthz", get(|| async { "ok" }))
        // Where Zipkin's probes look.
        .route("/health", get(|| async { "{\"status\":\"UP\"}" }))
        .merge(receive::router(store.clone()))
        .merge(query::router(store.clone()))
        .nest("/api", jaeger::router(store.clone()))
        .nest("/jaeger/api", jaeger::router(store.clone()))
        .nest("/zipkin/api/v2", query::zipkin(store.clone()))
        .nest("/api/v2", query::zipkin(store));
    let mut servers = tokio::task::JoinSet::new();
    for listener in listeners {
        let router = router.clone();
        servers.spawn(async move { axum::serve(listener, router).await });
    }
    tokio::select! {
        Some(ended) = servers.join_next() => ended.map_err(std::io::Error::other)?,
        () = end => Ok(()),
    }
}
