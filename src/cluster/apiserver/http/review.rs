//! Kinds that are questions: token, subject and access reviews, and pod bindings by the collection path.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Api, Call, body, json_response};
use crate::apiserver::actor::Actor;
use crate::apiserver::authorization::Attributes;
use crate::apiserver::error::ApiError;
use crate::apiserver::tokens::ISSUER;

impl Api {
    /// Answers a review.
    pub(super) async fn review(
        &self,
        call: &Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, ApiError> {
        if call.method != "POST" || !call.target.name.is_empty() {
            return Err(ApiError::method_not_allowed());
        }
        let content_type = body::content_type(request.headers());
        let mut review = body::decode(&content_type, &body::read(request).await?)?;
        crate::apiserver::object_meta::check_type(&call.target, &mut review)?;
        let spec = review["spec"].clone();
        review["status"] = match &*call.target.definition.reference.kind {
            "TokenReview" => self.token_review(&spec),
            "SelfSubjectReview" => json!({"userInfo": call.actor.user_info()}),
            "SelfSubjectAccessReview" => self.access_review(&call.actor, &spec),
            "SubjectAccessReview" | "LocalSubjectAccessReview" => self.access_review(&subject(&spec), &spec),
            "SelfSubjectRulesReview" => {
                self.rules_review(&call.actor, spec["namespace"].as_str().unwrap_or(""))
            }
            other => {
                return Err(ApiError::bad_request(format!("{other} can only be created as a subresource")));
            }
        };
        Ok(json_response(StatusCode::CREATED, &review))
    }

    fn token_review(&self, spec: &Value) -> Value {
        let wanted: Vec<&str> =
            spec["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let wanted = if wanted.is_empty() { vec![ISSUER] } else { wanted };
        let checked = spec["token"].as_str().and_then(|token| self.operations.check_token(token));
        let Some(checked) = checked else {
            return json!({"authenticated": false, "error": "[invalid bearer token]", "user": {}});
        };
        let common: Vec<&str> = wanted
            .into_iter()
            .filter(|audience| checked.audiences.iter().any(|one| one == audience))
            .collect();
        if common.is_empty() {
            let error = format!(
                "[invalid bearer token, token audiences {:?} is invalid for the target audiences]",
                checked.audiences
            );
            return json!({"authenticated": false, "error": error, "user": {}});
        }
        json!({"authenticated": true, "user": checked.actor.user_info(), "audiences": common})
    }

    fn access_review(&self, actor: &Actor, spec: &Value) -> Value {
        let resource = &spec["resourceAttributes"];
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let wanted = Attributes {
            verb: text(if resource.is_object() {
                &resource["verb"]
            } else {
                &spec["nonResourceAttributes"]["verb"]
            }),
            group: text(&resource["group"]),
            resource: text(&resource["resource"]),
            subresource: text(&resource["subresource"]),
            name: text(&resource["name"]),
            namespace: text(&resource["namespace"]),
            path: text(&spec["nonResourceAttributes"]["path"]),
        };
        json!({"allowed": self.operations.allowed(actor, &wanted)})
    }

    fn rules_review(&self, actor: &Actor, namespace: &str) -> Value {
        let rules = self.operations.rules_of(actor, namespace);
        let (resource, other): (Vec<Value>, Vec<Value>) =
            rules.into_iter().partition(|rule| !rule["resources"].is_null());
        let (mut resource, mut other) = (resource, other);
        if actor.is_master() {
            resource.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
            other.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
        }
        json!({"resourceRules": resource, "nonResourceRules": other, "incomplete": false})
    }
}

fn subject(spec: &Value) -> Actor {
    let groups =
        spec["groups"].as_array().into_iter().flatten().filter_map(|group| group.as_str().map(str::to_owned));
    Actor {
        name: spec["user"].as_str().unwrap_or("").to_owned(),
        groups: groups.collect(),
        ..Actor::default()
    }
}
