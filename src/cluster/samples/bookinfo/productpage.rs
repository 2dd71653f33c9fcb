//! The page: asks details and reviews, and shows what came of it. A session cookie knows the user's name, who travels on as `end-user`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::SampleError;
use super::super::serve::{port, serve};
use super::client::{Client, base_url};
use super::page;

/// How long details and reviews may take each.
const PATIENCE: Duration = Duration::from_secs(3);
const SESSION: &str = "session";

struct ProductPage {
    client: Client,
    details: String,
    reviews: String,
    ratings: String,
}

pub(in super::super) async fn run(arguments: &[String]) -> Result<(), SampleError> {
    let page = ProductPage {
        client: Client::new(),
        details: base_url("details"),
        reviews: base_url("reviews"),
        ratings: base_url("ratings"),
    };
    let routes = Router::new()
        .route("/", get(index))
        .route("/index.html", get(index))
        .route("/health", get(|| async { "Product page is healthy" }))
        .route("/login", post(login))
        .route("/logout", get(logout))
        .route("/productpage", get(product_page))
        .route("/api/v1/products", get(|| async { Json(json!([product()])) }))
        .route("/api/v1/products/{id}", get(details_api))
        .route("/api/v1/products/{id}/reviews", get(reviews_api))
        .route("/api/v1/products/{id}/ratings", get(ratings_api))
        .with_state(Arc::new(page));
    serve(port("bookinfo-productpage", arguments, 9080)?, routes).await
}

/// The only product there is.
pub(super) fn product() -> Value {
    json!({
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": "<a href=\"https://en.wikipedia.org/wiki/The_Comedy_of_Errors\">Summary</a>: one of <b>William Shakespeare's</b> first \
            plays, his shortest and among his most farcical: much of it lives on slapstick and mistaken identity, on puns and word play.",
    })
}

/// The user of a session, from its cookie.
fn user(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let session =
        cookies.flat_map(|value| value.split(';')).find_map(|pair| pair.trim().strip_prefix("session="))?;
    let name: String = session
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || "-_.@".contains(*character))
        .collect();
    (!name.is_empty()).then_some(name)
}

/// The headers of calls on behalf of a request: its own, and who the user is.
fn on_behalf(incoming: &HeaderMap) -> HeaderMap {
    let mut headers = incoming.clone();
    if let Some(value) = user(incoming).and_then(|name| HeaderValue::from_str(&name).ok()) {
        headers.insert("end-user", value);
    }
    headers
}

/// A service's answer, or the status and words that stand in for it.
type Part = Result<Value, (StatusCode, String)>;

impl ProductPage {
    async fn details(&self, id: &str, headers: &HeaderMap) -> Part {
        let url = format!("{}/details/{id}", self.details);
        self.client.get(&url, headers, PATIENCE).await.map_err(|status| unavailable("details", status))
    }

    /// Asks twice: the second attempt makes up for a slow or failing first one, as in the original.
    async fn reviews(&self, id: &str, headers: &HeaderMap) -> Part {
        let url = format!("{}/reviews/{id}", self.reviews);
        if let Ok(reviews) = self.client.get(&url, headers, PATIENCE).await {
            return Ok(reviews);
        }
        self.client.get(&url, headers, PATIENCE).await.map_err(|status| unavailable("reviews", status))
    }

    async fn ratings(&self, id: &str, headers: &HeaderMap) -> Part {
        let url = format!("{}/ratings/{id}", self.ratings);
        self.client.get(&url, headers, PATIENCE).await.map_err(|status| unavailable("ratings", status))
    }
}

fn unavailable(part: &str, status: Option<u16>) -> (StatusCode, String) {
    let status =
        status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, format!("Sorry, product {part} are currently unavailable for this book."))
}

async fn index() -> Html<String> {
    Html(page::index())
}

async fn product_page(State(state): State<Arc<ProductPage>>, headers: HeaderMap) -> Html<String> {
    let outgoing = on_behalf(&headers);
    let details = state.details("0", &outgoing).await;
    let reviews = state.reviews("0", &outgoing).await;
    let part = |part: Part| part.map_err(|(_, message)| message);
    Html(page::product(&product(), part(details), part(reviews), user(&headers).as_deref()))
}

fn answer(part: Part) -> Response {
    match part {
        Ok(value) => Json(value).into_response(),
        Err((status, message)) => (status, Json(json!({ "error": message }))).into_response(),
    }
}

async fn details_api(
    State(state): State<Arc<ProductPage>>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    answer(state.details(&id.to_string(), &on_behalf(&headers)).await)
}

async fn reviews_api(
    State(state): State<Arc<ProductPage>>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    answer(state.reviews(&id.to_string(), &on_behalf(&headers)).await)
}

async fn ratings_api(
    State(state): State<Arc<ProductPage>>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    answer(state.ratings(&id.to_string(), &on_behalf(&headers)).await)
}

#[derive(Deserialize)]
struct Login {
    username: String,
}

/// Back to where the user came from, with another cookie.
fn back(headers: &HeaderMap, cookie: String) -> Response {
    let from = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or("/productpage");
    let mut response = Redirect::to(from).into_response();
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

async fn login(headers: HeaderMap, Form(form): Form<Login>) -> Response {
    let name: String = form
        .username
        .chars()
        .filter(char::is_ascii_graphic)
        .filter(|character| *character != ';')
        .take(64)
        .collect();
    back(&headers, format!("{SESSION}={name}; Path=/; HttpOnly"))
}

async fn logout(headers: HeaderMap) -> Response {
    back(&headers, format!("{SESSION}=; Path=/; Max-Age=0"))
}
