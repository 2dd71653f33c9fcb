//! A control plane for tests: discovery (delta) and the certificate authority over real connections.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use h2::RecvStream;
use h2::server::SendResponse;
use prost::Message;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::control_plane::ControlPlane;
use crate::dns::ResolvConf;

/// Resources by type URL and name; a change is pushed to every stream.
pub(super) type Resources = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// A running control plane; it ends with the runtime.
#[derive(Clone)]
pub(super) struct FakeControlPlane {
    pub(super) address: SocketAddr,
    pub(super) resources: Arc<watch::Sender<Resources>>,
    /// Error details of every refusal.
    pub(super) refusals: Arc<Mutex<Vec<String>>>,
    /// `(type, nonce)` of every acceptance, in order.
    pub(super) accepted: Arc<Mutex<Vec<String>>>,
    certificates: Arc<(Issuer<'static, KeyPair>, String)>,
    /// Lifetime of certificates, in seconds.
    pub(super) lifetime: i64,
}

impl FakeControlPlane {
    pub(super) async fn start(lifetime: i64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).unwrap().pem();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            resources: Arc::new(watch::Sender::default()),
            refusals: Arc::default(),
            accepted: Arc::default(),
            certificates: Arc::new((Issuer::new(parameters, key), root)),
            lifetime,
        };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().connection(stream));
            }
        });
        fake
    }

    pub(super) fn client(&self) -> ControlPlane {
        ControlPlane {
            address: self.address.to_string(),
            root: None,
            more_roots: watch::channel(Vec::new()).1,
            token: "/none".into(),
            resolv_conf: ResolvConf::default(),
        }
    }

    /// Sets a resource; `None` removes it.
    pub(super) fn set<M: Message>(&self, type_url: &str, name: &str, message: Option<&M>) {
        self.resources.send_modify(|resources| {
            let of_type = resources.entry(type_url.to_owned()).or_default();
            match message {
                Some(message) => of_type.insert(name.to_owned(), message.encode_to_vec()),
                None => of_type.remove(name),
            };
        });
    }

    async fn connection(self, stream: TcpStream) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            let path = request.uri().path().to_owned();
            let body = request.into_body();
            match path.rsplit('/').next() {
                Some("CreateCertificate") => drop(tokio::spawn(self.clone().certificate(body, respond))),
                Some("DeltaAggregatedResources") => drop(tokio::spawn(self.clone().discovery(body, respond))),
                other => panic!("unexpected call {other:?}"),
            }
        }
    }

    async fn certificate(self, mut body: RecvStream, mut respond: SendResponse<Bytes>) {
        let message = next_message(&mut body, &mut BytesMut::new()).await.unwrap();
        let (_, csr) = message.split_at(message.iter().position(|byte| *byte == b'-').unwrap());
        let end = csr.windows(5).rposition(|window| window == b"-----").unwrap() + 5;
        let csr = CertificateSigningRequestParams::from_pem(std::str::from_utf8(&csr[..end]).unwrap());
        let mut csr = csr.unwrap();
        csr.params.not_before = time::OffsetDateTime::now_utc() - time::Duration::seconds(1);
        csr.params.not_after = time::OffsetDateTime::now_utc() + time::Duration::seconds(self.lifetime);
        let certificate = csr.signed_by(&self.certificates.0).unwrap().pem();
        let mut answer = Vec::new();
        for pem in [&certificate, &self.certificates.1] {
            prost::encoding::string::encode(1, pem, &mut answer);
        }
        let mut send = respond.send_response(http::Response::new(()), false).unwrap();
        send.send_data(frame(&answer), false).unwrap();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        send.send_trailers(trailers).unwrap();
    }

    async fn discovery(self, mut body: RecvStream, mut respond: SendResponse<Bytes>) {
        let response = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
        let mut send = respond.send_response(response, false).unwrap();
        let mut changes = self.resources.subscribe();
        let mut subscribed: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut sent: Resources = Resources::new();
        let mut answered: Vec<String> = Vec::new();
        let mut nonce = 0;
        let mut buffer = BytesMut::new();
        loop {
            tokio::select! {
                message = next_message(&mut body, &mut buffer) => {
                    let Some(message) = message else { return };
                    let request = DeltaDiscoveryRequest::decode(message).unwrap();
                    self.note(&request);
                    let names = subscribed.entry(request.type_url.clone()).or_default();
                    names.extend(request.resource_names_subscribe.clone());
                    names.retain(|name| !request.resource_names_unsubscribe.contains(name));
                }
                changed = changes.changed() => if changed.is_err() { return },
            }
            let current = changes.borrow_and_update().clone();
            for (type_url, names) in &subscribed {
                let Some(response) = difference(type_url, names, &current, &mut sent, &mut answered) else {
                    continue;
                };
                nonce += 1;
                let response = DeltaDiscoveryResponse { nonce: nonce.to_string(), ..response };
                if send.send_data(frame(&response.encode_to_vec()), false).is_err() {
                    return;
                }
            }
        }
    }

    fn note(&self, request: &DeltaDiscoveryRequest) {
        if request.response_nonce.is_empty() {
            return;
        }
        match &request.error_detail {
            Some(error) => self.refusals.lock().unwrap().push(error.message.clone()),
            None => {
                self.accepted.lock().unwrap().push(request.type_url.rsplit('.').next().unwrap().to_owned())
            }
        }
    }
}

/// What a stream does not have yet; the first answer for a type is sent even when it is empty.
fn difference(
    type_url: &str,
    names: &[String],
    current: &Resources,
    sent: &mut Resources,
    answered: &mut Vec<String>,
) -> Option<DeltaDiscoveryResponse> {
    let nothing = BTreeMap::new();
    let now = current.get(type_url).unwrap_or(&nothing);
    let before = sent.entry(type_url.to_owned()).or_default();
    let wanted = |name: &String| names.iter().any(|subscribed| subscribed == "*" || subscribed == name);
    let resources: Vec<Resource> = now
        .iter()
        .filter(|(name, value)| wanted(name) && before.get(*name) != Some(value))
        .map(|(name, value)| Resource {
            name: name.clone(),
            version: "1".to_owned(),
            resource: Some(Any { type_url: type_url.to_owned(), value: value.clone() }),
            ..Resource::default()
        })
        .collect();
    let removed: Vec<String> = before.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
    let first = !names.is_empty() && !answered.iter().any(|known| known == type_url);
    if resources.is_empty() && removed.is_empty() && !first {
        return None;
    }
    answered.push(type_url.to_owned());
    *before = now
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Some(DeltaDiscoveryResponse {
        type_url: type_url.to_owned(),
        resources,
        removed_resources: removed,
        ..DeltaDiscoveryResponse::default()
    })
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.extend_from_slice(message);
    frame.freeze()
}

/// The next gRPC message of a body. Safe to cancel: what was read stays in `buffer`.
async fn next_message(body: &mut RecvStream, buffer: &mut BytesMut) -> Option<Bytes> {
    loop {
        if buffer.len() >= 5 {
            let length = u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
            if buffer.len() >= 5 + length {
                buffer.advance(5);
                return Some(buffer.split_to(length).freeze());
            }
        }
        let data = body.data().await?.ok()?;
        body.flow_control().release_capacity(data.len()).unwrap();
        buffer.extend_from_slice(&data);
    }
}
