use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A client's socket and the server's, with the proxy between them.
async fn flow(proxy: &FaultProxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address()).await.unwrap();
    (client, server.accept().await.unwrap().0)
}

/// All that comes until the end.
async fn all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {}
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_cut_lets_exactly_so_many_bytes_of_its_side_pass_on_the_first_flow_that_speaks() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::to(server.local_addr().unwrap()).await;
    for (side, n) in [(Side::Client, 0), (Side::Client, 3), (Side::Client, 5), (Side::Server, 0), (Side::Server, 3), (Side::Server, 5)] {
        let (_silent, _) = flow(&proxy, &server).await;
        let (mut cut_client, mut cut_server) = flow(&proxy, &server).await;
        let (mut client, mut whole_server) = flow(&proxy, &server).await;
        proxy.begin(Fault::CutOnce(side, n));
        let (from, to) = if side == Side::Client { (&mut cut_client, cut_server) } else { (&mut cut_server, cut_client) };
        from.write_all(b"12").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        // Where it is cut already, this fails or not.
        drop(from.write_all(b"345").await);
        assert_eq!(all(to).await, "12345"[..n], "{side:?}");
        assert!(proxy.is_met());
        client.write_all(b"12345").await.unwrap();
        let mut bytes = [0; 5];
        whole_server.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"12345", "another flow is not touched");
    }
}

#[tokio::test]
async fn what_is_held_passes_when_the_next_fault_begins_and_is_lost_with_its_client() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::to(server.local_addr().unwrap()).await;
    for is_lost in [false, true] {
        let (mut client, mut held) = flow(&proxy, &server).await;
        proxy.begin(Fault::HoldOnce(Side::Client, 3));
        client.write_all(b"12345").await.unwrap();
        let mut bytes = [0; 3];
        held.read_exact(&mut bytes).await.unwrap();
        assert_eq!((&bytes, proxy.is_met()), (b"123", true));
        if is_lost {
            drop(client);
            assert_eq!(all(held).await, "");
        } else {
            proxy.begin(Fault::None);
            drop(client);
            assert_eq!(all(held).await, "45");
        }
    }
}
