//! Counting in redis: one number for each descriptor and window, which ends with the window.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use tokio::sync::Mutex;

use super::limits::Limit;
use super::settings::Settings;
use crate::samples::redis::client::{Client, Reply};

/// Time that redis has.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that are kept open (the original's pool).
const KEPT: usize = 10;

/// Counts in redis.
pub(super) struct Counter {
    host: String,
    port: u16,
    password: Option<String>,
    prefix: String,
    idle: Mutex<Vec<Client>>,
}

/// One number to be counted up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) key: String,
    pub(super) by: i64,
    /// How long the number is kept.
    pub(super) seconds: u64,
}

/// Redis did not count.
#[derive(Debug, thiserror::Error)]
pub(super) enum CountError {
    #[error("redis at {address}")]
    Connection { address: String, source: std::io::Error },
    #[error("redis answered {0}")]
    Refused(String),
}

impl Counter {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            host: settings.redis_host.clone(),
            port: settings.redis_port,
            password: settings.redis_password.clone(),
            prefix: settings.key_prefix.clone(),
            idle: Mutex::default(),
        }
    }

    /// `domain_key_value_…_` and the second that the window starts with.
    pub(super) fn key(
        &self,
        domain: &str,
        descriptor: &RateLimitDescriptor,
        limit: &Limit,
        now: u64,
    ) -> String {
        let mut key = format!("{}{domain}_", self.prefix);
        for entry in &descriptor.entries {
            key.push_str(&format!("{}_{}_", entry.key, entry.value));
        }
        key.push_str(&(now / limit.seconds() * limit.seconds()).to_string());
        key
    }

    /// Counts all of them; the new numbers, in order.
    pub(super) async fn count(&self, hits: &[Hit]) -> Result<Vec<i64>, CountError> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let commands: Vec<Vec<String>> = hits
            .iter()
            .flat_map(|hit| {
                let (by, seconds) = (hit.by.to_string(), hit.seconds.to_string());
                [words(&["INCRBY", &hit.key, &by]), words(&["EXPIRE", &hit.key, &seconds])]
            })
            .collect();
        let replies = self.ask(&commands).await?;
        replies.iter().step_by(2).map(number).collect()
    }

    async fn ask(&self, commands: &[Vec<String>]) -> Result<Vec<Reply>, CountError> {
        // A connection that broke while nobody used it says nothing about redis: then a new one is asked, once. Nothing was
        // counted by a connection that was closed before it was asked; what was asked and not answered may count twice.
        let idle = self.idle.lock().await.pop();
        if let Some(mut client) = idle
            && let Ok(Ok(replies)) = tokio::time::timeout(PATIENCE, client.ask(commands)).await
        {
            self.keep(client).await;
            return Ok(replies);
        }
        let broken =
            |source| CountError::Connection { address: format!("{}:{}", self.host, self.port), source };
        let mut client = Client::connect(&self.host, self.port, PATIENCE).await.map_err(broken)?;
        if let Some(password) = &self.password {
            let login = vec!["AUTH".to_owned(), password.clone()];
            let replies = client.ask(&[login]).await.map_err(broken)?;
            if let Some(Reply::Error(text)) = replies.first() {
                return Err(CountError::Refused(text.clone()));
            }
        }
        let asked = tokio::time::timeout(PATIENCE, client.ask(commands)).await;
        let replies = asked.map_err(std::io::Error::from).and_then(|asked| asked).map_err(broken)?;
        self.keep(client).await;
        Ok(replies)
    }

    async fn keep(&self, client: Client) {
        let mut idle = self.idle.lock().await;
        if idle.len() < KEPT {
            idle.push(client);
        }
    }
}

fn number(reply: &Reply) -> Result<i64, CountError> {
    match reply {
        Reply::Integer(number) => Ok(*number),
        Reply::Error(text) => Err(CountError::Refused(text.clone())),
        other => Err(CountError::Refused(format!("{other:?} where a number was due"))),
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
