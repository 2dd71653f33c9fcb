//! Real questions over real sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::upstream::{read_framed, write_framed};
use super::*;

fn host(addresses: &[&str], kubernetes: bool) -> Host {
    Host { addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(), kubernetes }
}

fn table() -> NameTable {
    NameTable::new("default", "default.svc.cluster.local").with_hosts([
        ("reviews.default.svc.cluster.local".to_owned(), host(&["10.96.0.7"], true)),
        ("ratings.other.svc.cluster.local.".to_owned(), host(&["10.96.0.8"], true)),
        ("api.example.com".to_owned(), host(&["240.240.0.1", "fd00::1"], false)),
        ("*.wild.example.com".to_owned(), host(&["240.240.0.2"], false)),
    ])
}

/// A running server that passes questions on to `upstream`; ends with the runtime.
async fn serve(upstream: Vec<SocketAddr>) -> (SocketAddr, Arc<DnsStatistics>) {
    let options = DnsOptions {
        port: 0,
        resolv_conf: ResolvConf::parse(
            "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n",
        ),
    };
    let statistics = Arc::new(DnsStatistics::default());
    let server = DnsServer::bind(&options, Arc::new(ArcSwap::from_pointee(table())), Arc::clone(&statistics))
        .await
        .unwrap()
        .with_upstream(upstream);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port().unwrap()));
    tokio::spawn(server.run());
    (address, statistics)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    message
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(&question(name, kind).to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    message.answers.iter().filter_map(|record| record.data.ip_addr()).collect()
}

#[tokio::test]
async fn answers_for_hosts_of_the_mesh_under_every_name_the_workload_may_use() {
    let (server, statistics) = serve(Vec::new()).await;
    let reviews: Vec<IpAddr> = vec!["10.96.0.7".parse().unwrap()];
    for name in [
        "reviews.",
        "Reviews.Default.",
        "reviews.default.svc.",
        "reviews.default.svc.cluster.",
        "reviews.default.svc.cluster.local.",
    ] {
        let answer = ask(server, name, RecordType::A).await;
        assert_eq!(addresses(&answer), reviews, "{name}");
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
    assert_eq!(statistics.upstream_requests(), 0);
    // Another namespace's service has no short name here.
    assert_eq!(ask(server, "ratings.", RecordType::A).await.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(addresses(&ask(server, "ratings.other.", RecordType::A).await).len(), 1);
}

#[tokio::test]
async fn a_known_host_has_no_address_of_the_other_family_and_that_is_no_error() {
    let (server, _) = serve(Vec::new()).await;
    let answer = ask(server, "reviews.default.svc.cluster.local.", RecordType::AAAA).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(answer.answers.is_empty());
    assert_eq!(
        addresses(&ask(server, "api.example.com.", RecordType::AAAA).await),
        ["fd00::1".parse::<IpAddr>().unwrap()]
    );
}

#[tokio::test]
async fn search_domains_and_wildcards_lead_to_the_host() {
    let (server, _) = serve(Vec::new()).await;
    let answer = ask(server, "api.example.com.default.svc.cluster.local.", RecordType::A).await;
    assert_eq!(answer.answers[0].record_type(), RecordType::CNAME);
    assert_eq!(addresses(&answer), ["240.240.0.1".parse::<IpAddr>().unwrap()]);
    let answer = ask(server, "a.b.wild.example.com.", RecordType::A).await;
    assert_eq!(addresses(&answer), ["240.240.0.2".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn other_names_go_upstream_and_failure_is_not_absence() {
    let upstream = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = upstream.recv_from(&mut buffer).await {
            let mut answer = Message::from_vec(&buffer[..length]).unwrap().into_response();
            let name = answer.queries[0].name().clone();
            answer.add_answer(Record::from_rdata(name, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))));
            upstream.send_to(&answer.to_vec().unwrap(), client).await.unwrap();
        }
    });
    let (server, statistics) = serve(vec![address]).await;
    assert_eq!(
        addresses(&ask(server, "elsewhere.test.", RecordType::A).await),
        [IpAddr::from([192, 0, 2, 1])]
    );
    assert_eq!(statistics.upstream_failures(), 0);

    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let (server, statistics) = serve(vec![closed]).await;
    let answer = ask(server, "elsewhere.test.", RecordType::A).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(statistics.upstream_failures(), 1);
}

#[tokio::test]
async fn speaks_tcp_and_survives_nonsense() {
    let (server, _) = serve(Vec::new()).await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.send_to(b"nonsense", server).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    for _ in 0..2 {
        write_framed(&mut stream, &question("reviews.", RecordType::A).to_vec().unwrap()).await.unwrap();
        let answer = Message::from_vec(&read_framed(&mut stream).await.unwrap()).unwrap();
        assert_eq!(addresses(&answer), [IpAddr::from([10, 96, 0, 7])]);
    }
}

#[tokio::test]
async fn the_agents_own_questions_use_the_search_domains() {
    let (server, _) = serve(Vec::new()).await;
    let upstream = super::upstream::Upstream::at(vec![server]);
    let search = ["shop.svc.cluster.local".to_owned(), "svc.cluster.local".to_owned()];
    let found = super::lookup::lookup_at("reviews.default", &search, &upstream).await.unwrap();
    assert_eq!(found, [IpAddr::from([10, 96, 0, 7])]);
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let error = super::lookup::lookup_at("istiod", &[], &super::upstream::Upstream::at(vec![closed]))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot resolve istiod: no DNS server answered");
}
