//! A pod with addresses of both families.

use std::net::Ipv6Addr;

use super::*;

const POD_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 3);
const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 9);

fn listen_v6(port: u16) -> Socket {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(true).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into()).unwrap();
    socket.listen(16).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

fn call_v6(mark: Option<u32>, source: Option<Ipv6Addr>, to: (Ipv6Addr, u16)) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    // The kernel may still be making the route to an address that is there already: the first SYN is sent again after a second.
    socket.connect_timeout(&SocketAddr::from(to).into(), Duration::from_secs(60))?;
    Ok(socket)
}

#[test]
fn both_families_are_captured_and_the_proxy_has_a_source_address_of_each() {
    in_pod(|| {
        if !std::path::Path::new("/proc/net/if_inet6").exists() {
            eprintln!("SKIPPED: the kernel has no IPv6");
            return;
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let route = Connection::<Route>::new().unwrap();
            let address = nlink::Ipv6Address::new("eth0", POD_V6, 64).nodad();
            route.add_address(address).await.unwrap();
            let everywhere = nlink::Ipv6Route::new(Ipv6Addr::UNSPECIFIED, 0).dev("eth0");
            route.add_route(everywhere).await.unwrap();
        });
        run(&arguments(&["--dual-stack"])).unwrap();
        let (outbound, inbound, application) = (listen_v6(15001), listen_v6(15006), listen_v6(8080));

        // The device may still be getting ready for IPv6.
        let first = (0..20).find_map(|_| call_v6(None, None, (OUTSIDE_V6, 80)).ok());
        assert!(first.is_some(), "captured");
        let (captured, _) = outbound.accept().unwrap();
        assert_eq!(captured.original_dst_v6().unwrap().as_socket().unwrap(), (OUTSIDE_V6, 80).into());
        call_v6(Some(PROXY_MARK), None, (POD_V6, 8080)).unwrap();
        inbound.accept().unwrap();
        let own_calls = Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6);
        call_v6(Some(PROXY_MARK), Some(own_calls), (POD_V6, 8080)).unwrap();
        assert_eq!(application.accept().unwrap().1.as_socket().unwrap().ip(), own_calls);
    });
}
