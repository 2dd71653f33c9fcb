//! What readers say, with stars from version 2 on: black in v2, red in v3.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::super::SampleError;
use super::super::serve::{environment, host_name, port, serve};
use super::client::{Client, base_url};

struct Reviews {
    /// Stars are asked for.
    rated: bool,
    color: String,
    /// How long ratings may take: v2 waits 10 s, v3 2.5 s, which the fault-injection tutorial relies on.
    patience: Duration,
    pod_name: String,
    cluster_name: String,
    ratings: String,
    client: Client,
}

pub(in super::super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let color = environment("STAR_COLOR", "black");
    let reviews = Reviews {
        rated: environment("ENABLE_RATINGS", "false") == "true",
        patience: if color == "black" { Duration::from_millis(10_000) } else { Duration::from_millis(2_500) },
        color,
        pod_name: host_name(),
        cluster_name: environment("CLUSTER_NAME", "null"),
        ratings: base_url("ratings"),
        client: Client::new(),
    };
    let routes = Router::new()
        .route("/health", get(|| async { Json(json!({ "status": "Reviews is healthy" })) }))
        .route("/reviews/{id}", get(read))
        .with_state(Arc::new(reviews));
    serve(port("bookinfo-reviews", arguments, 9080)?, routes).await
}

impl Reviews {
    /// What stands under `rating` of each reviewer; `None` in the version without stars.
    async fn stars(&self, id: u64, incoming: &HeaderMap) -> [Option<Value>; 2] {
        if !self.rated {
            return [None, None];
        }
        let url = format!("{}/ratings/{id}", self.ratings);
        let Ok(answer) = self.client.get(&url, incoming, self.patience).await else {
            let unavailable = json!({ "error": "Ratings service is currently unavailable" });
            return [Some(unavailable.clone()), Some(unavailable)];
        };
        ["Reviewer1", "Reviewer2"].map(|reviewer| {
            let stars = answer.pointer(&format!("/ratings/{reviewer}")).and_then(Value::as_i64);
            stars.map(|stars| json!({ "stars": stars, "color": self.color }))
        })
    }
}

async fn read(State(reviews): State<Arc<Reviews>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Ok(id) = id.parse::<u64>() else {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "please provide numeric product id" })))
            .into_response();
    };
    let texts = [
        (
            "Reviewer1",
            "Two pairs of twins, one day of mistakes, and not a dull scene in it: a joy from the first slap to the last.",
        ),
        (
            "Reviewer2",
            "Quick, silly and well built. It does not go as deep as his later plays, and does not try to.",
        ),
    ];
    let stars = reviews.stars(id, &headers).await;
    let entries: Vec<Value> = texts
        .iter()
        .zip(stars)
        .map(|((reviewer, text), rating)| {
            let mut entry = json!({ "reviewer": reviewer, "text": text });
            if let Some(rating) = rating {
                entry["rating"] = rating;
            }
            entry
        })
        .collect();
    let body = json!({ "id": id.to_string(), "podname": reviews.pod_name, "clustername": reviews.cluster_name, "reviews": entries });
    Json(body).into_response()
}
