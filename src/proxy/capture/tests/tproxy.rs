//! Interception mode `TPROXY`: connections from another network namespace arrive with their addresses, and reach the
//! application with them.

use std::net::Shutdown;
use std::sync::mpsc;

use super::*;

const PEER: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 9);

type Work = Box<dyn FnOnce() + Send>;

/// The other end of the pod's cable, in a network namespace of its own; it ends with its last handle.
struct Peer(mpsc::Sender<Work>);

impl Peer {
    fn start() -> Self {
        let (work, todo) = mpsc::channel::<Work>();
        let (started, thread) = mpsc::channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            started.send(nix::unistd::gettid().as_raw().unsigned_abs()).unwrap();
            todo.into_iter().for_each(|work| work());
        });
        let thread = thread.recv().unwrap();
        on_route(async |route| route.set_link_netns_pid("peer0", thread).await.unwrap());
        let peer = Self(work);
        peer.run(|| {
            on_route(async |route| {
                route.set_link_up("peer0").await.unwrap();
                route.add_address(nlink::Ipv4Address::new("peer0", PEER, 24)).await.unwrap();
            });
        })
        .recv()
        .unwrap();
        peer
    }

    /// Does something there; the result comes by the channel.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
        let (result, received) = mpsc::channel();
        self.0.send(Box::new(move || drop(result.send(work())))).unwrap();
        received
    }

    /// What a server of the pod says on a connection to `port`; an error where none takes it.
    fn hear(&self, port: u16) -> mpsc::Receiver<std::io::Result<String>> {
        self.run(move || {
            let mut stream =
                TcpStream::connect_timeout(&SocketAddr::from((POD, port)), Duration::from_millis(500))?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard)?;
            Ok(heard)
        })
    }
}

fn on_route(work: impl AsyncFnOnce(Connection<Route>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(Connection::<Route>::new().unwrap()).await });
}

fn transparent_listener(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_ip_transparent_v4(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn in_the_name_of(caller: Ipv4Addr, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_ip_transparent_v4(true).unwrap();
    socket.set_mark(TPROXY_MARK).unwrap();
    socket.bind(&SocketAddr::from((caller, 0)).into()).unwrap();
    socket.connect_timeout(&SocketAddr::from((POD, port)).into(), Duration::from_secs(60)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket.into()
}

/// Writes the rules; says so and returns false where the kernel has no such rules.
fn captures(extra: &[&str]) -> bool {
    match run(&arguments(extra)) {
        Ok(()) => true,
        Err(error @ CaptureError::NoTproxy { .. }) => {
            eprintln!("SKIPPED: {error}");
            false
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn addresses_are_kept_on_the_way_to_the_application() {
    in_pod(|| {
        let peer = Peer::start();
        if !captures(&["-m", "TPROXY", "-d", "15090,9090"]) {
            return;
        }
        let application = listen(Ipv4Addr::UNSPECIFIED, 8080);
        let (uncaptured, proxy) = (listen(Ipv4Addr::UNSPECIFIED, 9090), transparent_listener(15006));

        let heard = peer.hear(8080);
        let (inbound, remote) = proxy.accept().unwrap();
        let mut inbound = TcpStream::from(inbound);
        assert_eq!(inbound.local_addr().unwrap(), SocketAddr::from((POD, 8080)));
        assert_eq!(remote.as_socket().unwrap().ip(), PEER);
        let mut upstream = in_the_name_of(PEER, 8080);
        let (answering, caller) = application.accept().unwrap();
        assert_eq!(caller.as_socket().unwrap().ip(), PEER);
        let mut answering = TcpStream::from(answering);
        answering.write_all(b"hello").unwrap();
        answering.shutdown(Shutdown::Both).unwrap();
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).unwrap();
        inbound.write_all(&answer).unwrap();
        inbound.shutdown(Shutdown::Both).unwrap();
        assert_eq!(heard.recv().unwrap().unwrap(), "hello");

        let heard = peer.hear(9090);
        uncaptured.accept().unwrap().0.shutdown(Shutdown::Both).unwrap();
        assert_eq!(heard.recv().unwrap().unwrap(), "");
    });
}

#[test]
fn what_the_pod_asks_for_is_answered_and_nothing_comes_past_a_dead_proxy() {
    in_pod(|| {
        let peer = Peer::start();
        if !captures(&["-m", "TPROXY"]) {
            return;
        }
        let application = listen(Ipv4Addr::UNSPECIFIED, 8080);
        let ready = peer.run(|| listen(PEER, 7000)).recv().unwrap();
        // The proxy, known by its mark, and its own pod, which is redirected as ever.
        connect(&client(Some(PROXY_MARK), None), (PEER, 7000)).unwrap();
        drop(ready);
        let inbound = transparent_listener(15006);
        connect(&client(Some(PROXY_MARK), None), (POD, 8080)).unwrap();
        assert_eq!(arrival(&inbound), SocketAddrV4::new(POD, 8080));
        drop(inbound);

        assert!(peer.hear(8080).recv().unwrap().is_err(), "no proxy takes it");
        // A second run replaces the first, and a clean-up leaves nothing.
        run(&arguments(&["-m", "TPROXY"])).unwrap_or_else(|error| panic!("{error:?}"));
        run(&arguments(&["-m", "TPROXY", "--cleanup-only"])).unwrap();
        let heard = peer.hear(8080);
        application.accept().unwrap().0.shutdown(Shutdown::Both).unwrap();
        assert_eq!(heard.recv().unwrap().unwrap(), "");
        on_route(async |route| {
            let rules = route.get_rules_v4().await.unwrap();
            assert!(rules.iter().all(|rule| rule.fwmark() != Some(TPROXY_MARK)), "{rules:?}");
        });
    });
}
