//! Stars of the reviewers. Version v2 reads them from a MongoDB; the `v-faulty`, `v-delayed`, `v-unavailable` and `v-unhealthy` versions misbehave on purpose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::super::SampleError;
use super::super::serve::{environment, port, serve};
use super::mongodb;

type Answer = (StatusCode, Json<Value>);

struct Ratings {
    version: String,
    started: Instant,
    requests: Mutex<u64>,
    /// What users posted, by product.
    posted: Mutex<BTreeMap<u64, Value>>,
}

pub(in super::super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let ratings = Ratings {
        version: environment("SERVICE_VERSION", "v1"),
        started: Instant::now(),
        requests: Mutex::new(0),
        posted: Mutex::new(BTreeMap::new()),
    };
    let routes = Router::new()
        .route("/health", get(health))
        .route("/ratings/{id}", get(read).post(write))
        .layer(axum::middleware::from_fn(log))
        .with_state(Arc::new(ratings));
    let port = port("bookinfo-ratings", arguments, 9080)?;
    println!("Server listening on: http://0.0.0.0:{port}");
    serve(port, routes).await
}

/// Prints a line for each request, as the original does.
async fn log(request: Request, next: Next) -> Response {
    println!("{} {}", request.method(), request.uri());
    next.run(request).await
}

impl Ratings {
    /// True in every second stretch of `seconds` since the start.
    fn in_bad_stretch(&self, seconds: u64) -> bool {
        (self.started.elapsed().as_secs() / seconds) % 2 == 1
    }

    /// True for every second request.
    fn every_other(&self) -> bool {
        let mut requests = self.requests.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *requests += 1;
        requests.is_multiple_of(2)
    }
}

fn problem(status: StatusCode, message: &str) -> Answer {
    (status, Json(json!({ "error": message })))
}

async fn health(State(ratings): State<Arc<Ratings>>) -> Answer {
    if ratings.version == "v-unhealthy" && ratings.in_bad_stretch(15 * 60) {
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "status": "Ratings is not healthy" })));
    }
    (StatusCode::OK, Json(json!({ "status": "Ratings is healthy" })))
}

async fn read(State(ratings): State<Arc<Ratings>>, Path(id): Path<String>) -> Answer {
    let Ok(id) = id.parse::<u64>() else {
        return problem(StatusCode::BAD_REQUEST, "please provide numeric product ID");
    };
    match ratings.version.as_str() {
        "v2" => return from_database(id).await,
        "v-faulty" if ratings.every_other() => {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable");
        }
        "v-unavailable" if ratings.in_bad_stretch(60) => {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable");
        }
        "v-unhealthy" if ratings.in_bad_stretch(15 * 60) => {
            return problem(StatusCode::INTERNAL_SERVER_ERROR, "Ratings is not healthy");
        }
        "v-delayed" if ratings.every_other() => tokio::time::sleep(Duration::from_secs(7)).await,
        _ => {}
    }
    let posted = ratings.posted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&id).cloned();
    let stars = posted.unwrap_or_else(|| json!({ "Reviewer1": 5, "Reviewer2": 4 }));
    (StatusCode::OK, Json(json!({ "id": id, "ratings": stars })))
}

/// The stars of a database at `MONGO_DB_URL`; other databases than MongoDB (`DB_TYPE`) cannot be asked.
async fn from_database(id: u64) -> Answer {
    let failed = |what: &str| problem(StatusCode::INTERNAL_SERVER_ERROR, what);
    let kind = environment("DB_TYPE", "mongodb");
    if kind != "mongodb" {
        eprintln!("DB_TYPE {kind:?} cannot be asked; mongodb can");
        return failed("could not connect to ratings database");
    }
    let stars = match mongodb::ratings(&environment("MONGO_DB_URL", "mongodb://mongodb:27017/test")).await {
        Ok(stars) => stars,
        Err(error) => {
            eprintln!("ratings database: {error}");
            return failed("could not connect to ratings database");
        }
    };
    let [first, second] = [0, 1].map(|place| stars.get(place).copied().unwrap_or_default());
    let stars = json!({ "Reviewer1": first, "Reviewer2": second });
    (StatusCode::OK, Json(json!({ "id": id, "ratings": stars })))
}

async fn write(State(ratings): State<Arc<Ratings>>, Path(id): Path<String>, body: Bytes) -> Answer {
    let Ok(id) = id.parse::<u64>() else {
        return problem(StatusCode::BAD_REQUEST, "please provide numeric product ID");
    };
    if ratings.version == "v2" {
        return problem(StatusCode::NOT_IMPLEMENTED, "Post not implemented for database backed ratings");
    }
    let Ok(stars) = serde_json::from_slice::<Value>(&body) else {
        return problem(StatusCode::BAD_REQUEST, "please provide valid ratings JSON");
    };
    ratings.posted.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(id, stars.clone());
    (StatusCode::OK, Json(json!({ "id": id, "ratings": stars })))
}
