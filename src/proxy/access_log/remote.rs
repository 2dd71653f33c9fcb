//! Handing entries to services: in batches, beside the traffic, and never more than so many at a time.
//!
//! A batch is one call: `Export` of OpenTelemetry, or a `StreamAccessLogs` of Envoy's own service that ends with the batch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::{HttpAccessLogEntry, TcpAccessLogEntry};
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    HttpAccessLogEntries, Identifier, LogEntries, TcpAccessLogEntries,
};
use sagene_api::trace::opentelemetry_logs::{
    EXPORT_PATH, ExportLogsServiceRequest, LogRecord, Resource, ResourceLogs, ScopeLogs,
};

use super::record::text;
use crate::filter::grpc_service::GrpcService;
use crate::filter::peer_metadata::OwnMetadata;
use crate::http::call::{Call, CallError, call};
use crate::worker::context::Worker;

const STREAM_PATH: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
/// Most entries that wait for one service; more are dropped.
const WAITING: usize = 8192;
/// Entries of one call.
const BATCH: usize = 512;

/// Who takes entries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Receiver {
    pub(crate) service: GrpcService,
    pub(crate) log_name: Box<str>,
    /// Facts about this proxy that go along with records.
    pub(crate) resource: Vec<(Box<str>, Box<str>)>,
    /// Whether the names of log, zone, cluster and node go along too.
    pub(crate) names_node: bool,
    pub(crate) is_open_telemetry: bool,
    /// How long the first entry of a batch waits for more.
    pub(crate) gathering: Duration,
}

/// What is told of one request or connection.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Record(LogRecord),
    Http(Box<HttpAccessLogEntry>),
    Tcp(Box<TcpAccessLogEntry>),
}

/// What waits for the services of one worker.
#[derive(Debug, Default)]
pub(crate) struct Waiting(RefCell<HashMap<Arc<Receiver>, Vec<Entry>>>);

impl Waiting {
    /// Takes an entry; the first one to wait starts the sending.
    pub(crate) fn take(worker: &Rc<Worker>, receiver: &Arc<Receiver>, entry: Entry) {
        let mut waiting = worker.log_entries.0.borrow_mut();
        if let Some(queue) = waiting.get_mut(receiver) {
            if queue.len() >= WAITING {
                count(worker, receiver, "logs_dropped", 1);
            } else {
                queue.push(entry);
            }
            return;
        }
        waiting.insert(receiver.clone(), vec![entry]);
        tokio::task::spawn_local(send(worker.clone(), receiver.clone()));
    }

    /// The next batch; `None` when nothing waits, and then nobody sends any more.
    fn next(&self, receiver: &Arc<Receiver>) -> Option<Vec<Entry>> {
        let mut waiting = self.0.borrow_mut();
        let queue = waiting.get_mut(receiver)?;
        if queue.is_empty() {
            waiting.remove(receiver);
            return None;
        }
        let rest = queue.split_off(queue.len().min(BATCH));
        Some(std::mem::replace(queue, rest))
    }

    fn is_full_batch(&self, receiver: &Arc<Receiver>) -> bool {
        self.0.borrow().get(receiver).is_some_and(|queue| queue.len() >= BATCH)
    }
}

/// Sends until nothing waits. A batch that does not arrive is not sent again: the next one is worth more.
async fn send(worker: Rc<Worker>, receiver: Arc<Receiver>) {
    loop {
        if !worker.log_entries.is_full_batch(&receiver) {
            tokio::time::sleep(receiver.gathering).await;
        }
        let Some(entries) = worker.log_entries.next(&receiver) else { return };
        let number = entries.len() as u64;
        let answer = call(&worker, report(&receiver, entries, &worker.own)).await;
        let taken = match answer {
            Ok(answer) => answer.status == 200 && answer.grpc_status().unwrap_or(0) == 0,
            Err(CallError::NoCluster) => false,
            Err(error) => {
                tracing::debug!(log = &*receiver.log_name, %error, "log entries were not handed over");
                false
            }
        };
        count(&worker, &receiver, if taken { "logs_written" } else { "logs_dropped" }, number);
    }
}

fn report<'r>(receiver: &'r Receiver, entries: Vec<Entry>, own: &OwnMetadata) -> Call<'r> {
    if receiver.is_open_telemetry {
        return receiver.service.question(EXPORT_PATH, &export(receiver, entries, own));
    }
    let (mut requests, mut connections) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Http(entry) => requests.push(*entry),
            Entry::Tcp(entry) => connections.push(*entry),
            Entry::Record(_) => {}
        }
    }
    let node = Node {
        id: own.id.clone(),
        cluster: own.cluster.clone(),
        metadata: Some(own.told.clone()),
        ..Node::default()
    };
    let message = StreamAccessLogsMessage {
        identifier: Some(Identifier { node: Some(node), log_name: receiver.log_name.to_string() }),
        log_entries: Some(if connections.is_empty() {
            LogEntries::HttpLogs(HttpAccessLogEntries { log_entry: requests })
        } else {
            LogEntries::TcpLogs(TcpAccessLogEntries { log_entry: connections })
        }),
    };
    receiver.service.question(STREAM_PATH, &message)
}

fn export(receiver: &Receiver, entries: Vec<Entry>, own: &OwnMetadata) -> ExportLogsServiceRequest {
    let records = entries.into_iter().filter_map(|entry| match entry {
        Entry::Record(record) => Some(record),
        Entry::Http(_) | Entry::Tcp(_) => None,
    });
    let mut attributes = Vec::new();
    if receiver.names_node {
        attributes.extend([
            text("log_name", &receiver.log_name),
            text("zone_name", &own.zone),
            text("cluster_name", &own.cluster),
            text("node_name", &own.id),
        ]);
    }
    attributes.extend(receiver.resource.iter().map(|(key, value)| text(key, value)));
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes }),
            scope_logs: vec![ScopeLogs { scope: None, log_records: records.collect() }],
        }],
    }
}

fn count(worker: &Worker, receiver: &Receiver, what: &str, by: u64) {
    let log = if receiver.is_open_telemetry { "open_telemetry_access_log" } else { "grpc_access_log" };
    worker.registry.counter(&format!("access_logs.{log}.{what}")).add(by);
}
