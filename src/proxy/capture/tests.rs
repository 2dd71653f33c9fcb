//! Real connections in network namespaces of their own; each test ends with its thread and leaves nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use clap::Parser;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{getsockopt, sockopt::OriginalDst};
use nlink::{Connection, Route};
use socket2::{Domain, Socket, Type};

use super::*;

mod dual_stack;
mod tproxy;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    init: InitArguments,
}

/// The arguments that injection gives to `istio-init`.
const INJECTED: [&str; 17] = [
    "init",
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-x",
    "",
    "-b",
    "*",
    "-d",
    "15090,15021,15020",
];

fn arguments(extra: &[&str]) -> InitArguments {
    CommandLine::try_parse_from(INJECTED.iter().chain(extra)).unwrap().init
}

const POD: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);

/// Runs `test` in a fresh network namespace with a pod address and a route to everywhere. Says so and passes where
/// the process may not make one.
fn in_pod(test: impl FnOnce() + Send + 'static) {
    let worker = std::thread::spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            eprintln!("SKIPPED: cannot make a network namespace ({error})");
            return;
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let route = Connection::<Route>::new().unwrap();
            route.set_link_up("lo").await.unwrap();
            route.add_link(nlink::netlink::link::VethLink::new("eth0", "peer0")).await.unwrap();
            route.add_address(nlink::Ipv4Address::new("eth0", POD, 24)).await.unwrap();
            route.set_link_up("peer0").await.unwrap();
            route.set_link_up("eth0").await.unwrap();
            route.add_route(nlink::Ipv4Route::new(Ipv4Addr::UNSPECIFIED, 0).dev("eth0")).await.unwrap();
        });
        test();
    });
    worker.join().unwrap();
}

fn listen(address: Ipv4Addr, port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((address, port)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn client(mark: Option<u32>, source: Option<Ipv4Addr>) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if let Some(mark) = mark {
        socket.set_mark(mark).unwrap();
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    }
    socket
}

fn connect(socket: &Socket, to: (Ipv4Addr, u16)) -> std::io::Result<()> {
    socket.connect_timeout(&SocketAddr::from(to).into(), Duration::from_secs(60))
}

/// Whether a connection leads nowhere: no answer comes, however short the time is that it gets.
fn leaves(socket: &Socket, to: (Ipv4Addr, u16)) -> bool {
    socket.connect_timeout(&SocketAddr::from(to).into(), Duration::from_millis(400)).is_err()
}

/// Original destination of the next connection of `listener`.
fn arrival(listener: &Socket) -> SocketAddrV4 {
    let (stream, _) = listener.accept().unwrap();
    let original = getsockopt(&stream, OriginalDst).unwrap();
    SocketAddrV4::new(u32::from_be(original.sin_addr.s_addr).into(), u16::from_be(original.sin_port))
}

#[test]
fn captures_what_the_application_sends_and_spares_the_proxy() {
    in_pod(|| {
        run(&arguments(&["-o", "9999"])).unwrap();
        let outbound = listen(Ipv4Addr::UNSPECIFIED, 15001);
        let inbound = listen(Ipv4Addr::UNSPECIFIED, 15006);
        let application = listen(Ipv4Addr::UNSPECIFIED, 8080);

        connect(&client(None, None), (OUTSIDE, 80)).unwrap();
        assert_eq!(arrival(&outbound), SocketAddrV4::new(OUTSIDE, 80));

        // The proxy by its mark, and an excluded port, leave the pod: nobody answers there.
        assert!(leaves(&client(Some(PROXY_MARK), None), (OUTSIDE, 80)));
        assert!(leaves(&client(None, None), (OUTSIDE, 9999)));

        // The proxy calls its own pod: that goes to the inbound side, except from the address of inbound calls.
        connect(&client(Some(PROXY_MARK), None), (POD, 8080)).unwrap();
        assert_eq!(arrival(&inbound), SocketAddrV4::new(POD, 8080));
        connect(&client(Some(PROXY_MARK), Some(Ipv4Addr::new(127, 0, 0, 6))), (POD, 8080)).unwrap();
        application.accept().unwrap();

        // The application calls itself directly.
        connect(&client(None, None), (Ipv4Addr::LOCALHOST, 8080)).unwrap();
        application.accept().unwrap();
        connect(&client(None, None), (POD, 8080)).unwrap();
        application.accept().unwrap();
    });
}

#[test]
fn knows_the_proxy_by_user_id() {
    in_pod(|| {
        run(&arguments(&[])).unwrap();
        let inbound = listen(Ipv4Addr::UNSPECIFIED, 15006);
        nix::unistd::setfsuid(nix::unistd::Uid::from_raw(1337));
        let own = client(None, None);
        connect(&own, (POD, 8080)).unwrap();
        assert_eq!(arrival(&inbound), SocketAddrV4::new(POD, 8080));
        assert!(leaves(&client(None, None), (OUTSIDE, 80)));
    });
}

#[test]
fn a_second_run_replaces_the_first_and_cleanup_removes_all() {
    in_pod(|| {
        run(&arguments(&[])).unwrap();
        run(&arguments(&["-x", "10.9.0.0/16"])).unwrap_or_else(|error| panic!("{error:?}"));
        let outbound = listen(Ipv4Addr::UNSPECIFIED, 15001);
        assert!(leaves(&client(None, None), (OUTSIDE, 80)), "the excluded range is not captured");
        connect(&client(None, None), (Ipv4Addr::new(10, 8, 0, 1), 80)).unwrap();
        arrival(&outbound);
        run(&arguments(&["--cleanup-only"])).unwrap();
        assert!(leaves(&client(None, None), (Ipv4Addr::new(10, 8, 0, 1), 80)));
        run(&arguments(&["--cleanup-only"])).unwrap();
    });
}

#[test]
fn validation_finds_the_rules_or_says_that_they_are_missing() {
    in_pod(|| {
        let missing = run(&arguments(&["--skip-rule-apply", "--run-validation"])).unwrap_err();
        assert!(missing.to_string().contains("was not redirected to port 15006"), "{missing}");
        run(&arguments(&["--run-validation"])).unwrap();
    });
}

#[test]
fn captures_dns_over_udp_and_tcp() {
    in_pod(|| {
        run(&arguments(&["--redirect-dns", "--capture-all-dns"])).unwrap();
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 15053)).unwrap();
        socket2::SockRef::from(&server).set_mark(PROXY_MARK).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let application = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        application.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        application.send_to(b"question", (OUTSIDE, 53)).unwrap();
        let mut buffer = [0; 64];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"question");
        server.send_to(b"answer", from).unwrap();
        let (length, from) = application.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"answer"[..], SocketAddr::from((OUTSIDE, 53))));

        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 15053)).unwrap();
        let mut stream = TcpStream::connect((OUTSIDE, 53)).unwrap();
        stream.write_all(b"q").unwrap();
        let mut byte = [0; 1];
        tcp.accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"q");
    });
}

#[test]
fn refuses_what_it_cannot_do_by_the_name_of_the_flag() {
    let failure = |extra: &[&str]| {
        let parsed = CommandLine::try_parse_from(["init"].iter().chain(extra)).unwrap();
        run(&parsed.init).unwrap_err().to_string()
    };
    assert!(failure(&["-m", "BRIDGE"]).contains("expected REDIRECT or TPROXY"));
    assert!(failure(&["-m", "TPROXY", "-t", "1337"]).starts_with("--istio-inbound-tproxy-mark \"1337\""));
    assert!(failure(&["-i", "10.0.0.0/33"]).starts_with("--istio-service-cidr \"10.0.0.0/33\""));
    assert!(failure(&["-u", "istio"]).contains("numeric id"));
    assert!(failure(&["-d", "15090,http"]).starts_with("--istio-local-exclude-ports \"http\""));
}
