//! Sockets in the machine's own network, for a process that lives in another network namespace.
//!
//! A socket belongs to the network namespace of the thread that made it, and keeps belonging to it whoever uses it. One thread is
//! left in the machine's namespace and makes sockets on request; that works rootless too, where nobody may enter it again.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};

type Reply = mpsc::SyncSender<io::Result<Socket>>;

struct Request {
    domain: Domain,
    socket_type: Type,
    protocol: Protocol,
    reply: Reply,
}

/// The way to the machine's network. Clones share the one thread.
#[derive(Clone, Debug)]
pub(crate) struct HostNetwork {
    requests: mpsc::Sender<Request>,
}

impl HostNetwork {
    /// Starts the thread in the network namespace of the caller, which is meant to leave it afterwards.
    pub(crate) fn start() -> io::Result<Self> {
        let (requests, receiver) = mpsc::channel::<Request>();
        thread::Builder::new().name("host-network".to_owned()).stack_size(64 << 10).spawn(move || {
            for request in receiver {
                let socket = Socket::new(request.domain, request.socket_type, Some(request.protocol));
                // Whoever asked may have given up.
                let _ = request.reply.send(socket);
            }
        })?;
        Ok(Self { requests })
    }

    /// Listens on a TCP address of the machine. Non-blocking.
    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(Domain::for_address(address), Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        Ok(socket.into())
    }

    /// Takes a TCP address of the machine, without listening, until the socket is dropped.
    pub(crate) fn reserve(&self, address: SocketAddr) -> io::Result<Socket> {
        let socket = self.socket(Domain::for_address(address), Type::STREAM, Protocol::TCP)?;
        socket.bind(&address.into())?;
        Ok(socket)
    }

    /// Connects to a TCP address that the machine can reach.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let socket = self.socket(Domain::for_address(address), Type::STREAM, Protocol::TCP)?;
        tokio::net::TcpSocket::from_std_stream(socket.into()).connect(address).await
    }

    /// A UDP socket whose peer is `address`. Non-blocking.
    pub(crate) fn udp_to(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.socket(Domain::for_address(address), Type::DGRAM, Protocol::UDP)?;
        socket.connect(&address.into())?;
        Ok(socket.into())
    }

    fn socket(&self, domain: Domain, socket_type: Type, protocol: Protocol) -> io::Result<Socket> {
        let gone = || io::Error::other("the host network's thread has ended");
        let (reply, answer) = mpsc::sync_channel(1);
        self.requests.send(Request { domain, socket_type, protocol, reply }).map_err(|_| gone())?;
        // The thread does nothing but this; the answer takes microseconds.
        let socket = answer.recv().map_err(|_| gone())??;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}
