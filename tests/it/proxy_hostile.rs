//! The stand-in for RDS Proxy between hostile clients, a hostile database, and a client that wants to be served.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use local::address::Address;
use local::proxy::{Proxy, Settings, Upstream};
use local::roles::{APP_ROLE, Roles};
use local::wire::{Frame, read_opening};
use tests::raw_client::{RawClient, errors, query, startup_packet, token, values};
use tests::{Api, Database, Options, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy_wire::stand_in;

/// What is announced and never comes. All of it would be twenty gigabytes; other tests of this process take some memory meanwhile.
const CLIENTS: usize = 20;
const BOUND_BYTES: u64 = 6 << 30;

/// The address space of this process; memory that was allocated and not used yet counts.
fn address_space_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Does `work` while another client is served all the time, and tells that it was.
async fn while_another_is_served(api: &Api, work: impl Future<Output = ()>) {
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut other = RawClient::signed_in(api.proxy(), &[]).await;
    let other = async {
        while !done.load(Ordering::SeqCst) {
            let number = served.fetch_add(1, Ordering::SeqCst).to_string();
            let answers = other.query(&format!("select {number}")).await;
            assert_eq!(values(&answers), [number], "{:?}", errors(&answers));
        }
    };
    let work = async {
        work.await;
        // It has been served, and is served after it all.
        let before = served.load(Ordering::SeqCst);
        eventually("the other client is served", async || served.load(Ordering::SeqCst) > before + 2).await;
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(other, work);
}

/// The one error that a client is told before its connection ends.
async fn refusal(client: &mut RawClient) -> (String, String) {
    let error = errors(&client.until_ready().await).remove(0);
    assert!(client.is_closed().await);
    (error.sqlstate, error.message)
}

#[tokio::test]
async fn hostile_bytes_of_a_client_are_a_clear_error_to_it_and_nothing_to_another() {
    let (_database, api) = stand_in(2).await;
    let refused = async {
        // A malformed length, with more behind it than fits into the sockets' buffers at once.
        let mut client = RawClient::signed_in(api.proxy(), &[]).await;
        client.send_bytes(&[&b"Q\0\0\0\x03"[..], &[b'x'; 300_000]].concat()).await;
        let text = "a message of type 'Q' gives its length as 3, which is less than the length's own 4 bytes";
        assert_eq!(refusal(&mut client).await, ("08P01".to_owned(), text.to_owned()));

        // A start-up packet that ends within its parameters, and one that never becomes whole.
        let whole = startup_packet(0, &[("user", "thaw_app"), ("database", "thaw")]);
        let mut cut = whole[..whole.len() - 3].to_vec();
        cut[3] -= 3;
        let mut client = RawClient::encrypted(api.proxy()).await;
        client.send_bytes(&cut).await;
        assert_eq!(refusal(&mut client).await, ("08P01".to_owned(), "the start-up packet ends within its parameters".to_owned()));
        let mut client = RawClient::encrypted(api.proxy()).await;
        client.send_bytes(&whole[..whole.len() - 3]).await;
        drop(client);

        // Garbage after TLS began: no start-up packet, no password, no message.
        let text = "the first packet is no start-up packet of Postgres's protocol: its length is out of range";
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4_096], &[0x16, 3, 1, 2, 0, 1, 0, 1]] {
            let mut client = RawClient::encrypted(api.proxy()).await;
            client.send_bytes(garbage).await;
            assert_eq!(refusal(&mut client).await, ("08P01".to_owned(), text.to_owned()));
        }
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4_096], b"p\0\0\0\x03", b"p\x40\0\0\0token"] {
            let mut client = RawClient::encrypted(api.proxy()).await;
            client.send_bytes(&startup_packet(0, &[("user", "thaw_app")])).await;
            assert_eq!(client.next().await.kind(), b'R');
            client.send_bytes(garbage).await;
            assert_eq!(refusal(&mut client).await, ("08P01".to_owned(), "a password message is expected here".to_owned()));
        }
        let mut client = RawClient::signed_in(api.proxy(), &[]).await;
        client.send_bytes(b"!\0\0\0\x04").await;
        let text = "a message of type '!' cannot stand here, or its body is malformed";
        assert_eq!(refusal(&mut client).await, ("08P01".to_owned(), text.to_owned()));

        // No TLS after it was agreed.
        let mut plain = TcpStream::connect(api.proxy().address()).await.unwrap();
        plain.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
        assert_eq!(plain.read_u8().await.unwrap(), b'S');
        plain.write_all(&whole).await.unwrap();
        let mut answer = Vec::new();
        drop(plain.read_to_end(&mut answer).await);
        assert!(answer.len() < 16, "a TLS alert at most, and not {answer:?}");
    };
    while_another_is_served(&api, refused).await;
    eventually("every client is gone", async || api.proxy().report().clients == 0).await;
    api.stop().await;
}

#[tokio::test]
async fn lengths_of_a_gigabyte_take_no_memory() {
    let (_database, api) = stand_in(2).await;
    let before = address_space_bytes();
    let announced = async {
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let mut client = RawClient::signed_in(api.proxy(), &[]).await;
            // Over the limit, and just below it: then more may come.
            let length = if number % 2 == 0 { 1 << 30 } else { 16 * 1024 * 1024 - 1_u32 };
            client.send_bytes(&[&b"Q"[..], &length.to_be_bytes(), &[b'x'; 100_000]].concat()).await;
            clients.push(client);
        }
        if let (Some(before), Some(now)) = (before, address_space_bytes()) {
            assert!(now < before + BOUND_BYTES, "{before} bytes before, {now} now");
        }
        for client in clients.iter_mut().step_by(2) {
            let text = "a message of type 'Q' is 1073741824 bytes long, more than the 16777216 that are taken here";
            assert_eq!(refusal(client).await, ("54000".to_owned(), text.to_owned()));
        }
    };
    while_another_is_served(&api, announced).await;
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_is_cut_off_and_lingers_keeps_no_database_connection() {
    let database = Database::seeded().await;
    let settings = Settings { connections: 1, borrow_timeout: Duration::from_millis(500), ..Settings::default() };
    let api = Api::with(&database, Options { proxy: Some(settings), ..Options::default() }).await;
    let (mut pinned, mut other) = (RawClient::signed_in(api.proxy(), &[]).await, RawClient::signed_in(api.proxy(), &[]).await);
    pinned.query("set work_mem = '7MB'").await;
    pinned.send_bytes(b"!\0\0\0\x04").await;
    assert_eq!(errors(&[pinned.next().await])[0].sqlstate, "08P01");
    // It does not close its side.
    let answers = other.query("select 7").await;
    assert_eq!(values(&answers), ["7"], "{:?}", errors(&answers));
    drop(pinned);
    api.stop().await;
}

/// A database that takes everybody, and answers the query "hostile" with `answer`; `greeting` takes the place of the sign-in.
async fn database(greeting: Option<&'static [u8]>, answer: &'static [u8]) -> (tempfile::TempDir, Proxy) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("postgres://postgres@{}/thaw", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, greeting, answer));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let upstream = Upstream::new(&Roles::one(APP_ROLE, "secret", address)).unwrap();
    let proxy = Proxy::start(upstream, Settings::default(), std::sync::Arc::new(|_| {}), directory.path()).await.unwrap();
    (directory, proxy)
}

async fn serve(mut stream: TcpStream, greeting: Option<&[u8]>, answer: &[u8]) -> std::io::Result<()> {
    read_opening(&mut stream).await?;
    let ready = Frame::new(b'Z', b"I");
    let signed_in = [Frame::new(b'R', &[0; 4]).bytes(), ready.bytes()].map(|bytes| bytes.to_vec()).concat();
    stream.write_all(greeting.unwrap_or(&signed_in)).await?;
    let mut frames = local::wire::Frames::new(stream, 1 << 20);
    while let Ok(Some(frame)) = frames.next().await {
        let answered = match frame.body() {
            b"hostile\0" => answer.to_vec(),
            _ => [Frame::new(b'D', b"\0\x01\0\0\0\x017").bytes(), ready.bytes()].map(|bytes| bytes.to_vec()).concat(),
        };
        frames.stream().write_all(&answered).await?;
    }
    Ok(())
}

#[tokio::test]
async fn hostile_bytes_of_the_database_are_a_clear_error_to_whom_they_answer_and_nothing_to_another() {
    let cases: [(&'static [u8], &str); 6] = [
        (
            b"D\0\0\0\x03",
            "the database sent what is no message: a message of type 'D' gives its length as 3, which is less than the length's own 4 bytes",
        ),
        (b"D\x40\0\0\0abc", "a message of type 'D' is 1073741824 bytes long, more than the 67108864 that are taken here"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the database sent what is no message: a message of type 'H'"),
        (b"1\0\0\0\x04", "the database sent a message of type '1' that answers nothing"),
        (b"Z\0\0\0\x05IZ\0\0\0\x05I", "the database sent a message of type 'Z' that answers nothing"),
        (b"G\0\0\0\x04G\0\0\0\x04Z\0\0\0\x05IG\0\0\0\x04", "the database sent a message of type 'G' that answers nothing"),
    ];
    for (answer, text) in cases {
        let (_directory, proxy) = database(None, answer).await;
        let before = address_space_bytes();
        let (mut client, mut other) = (RawClient::signed_in(&proxy, &[]).await, RawClient::signed_in(&proxy, &[]).await);
        assert_eq!(values(&client.query("select 7").await), ["7"]);
        client.send(&[query("hostile")]).await;
        assert_eq!(values(&other.query("select 7").await), ["7"], "meanwhile");
        let mut answers = Vec::new();
        while !client.is_ended(&mut answers).await {}
        let told = errors(&answers).remove(0);
        assert!(told.sqlstate == "08P01" && told.message.contains(text), "{answer:?}: {told:?}");
        assert_eq!(values(&other.query("select 7").await), ["7"], "afterwards");
        if let (Some(before), Some(now)) = (before, address_space_bytes()) {
            assert!(now < before + BOUND_BYTES, "{before} bytes before, {now} now");
        }
        eventually("the connection is given up", async || proxy.report().borrowed == 0).await;
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_signed_in_to_is_a_clear_error_to_the_client() {
    let cases: [(&'static [u8], &str, &str); 6] = [
        (b"R\0\0\0\x03", "08001", "the database answered with what is no message"),
        (b"R\x40\0\0\0", "08001", "the database answered with what is no message"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "08001", "the database answered with what is no message"),
        (b"R\0\0\0\x06\0\0", "08001", "the database's sign-in cannot be followed"),
        (b"R\0\0\0\x08\0\0\0\x09", "08001", "the database asks for a sign-in other than"),
        (b"E\0\0\0\x10C28P01\0Mno\0\0", "28P01", "no"),
    ];
    for (greeting, sqlstate, text) in cases {
        let (_directory, proxy) = database(Some(greeting), b"").await;
        let mut client = RawClient::encrypted(&proxy).await;
        client.send_bytes(&startup_packet(0, &[("user", "thaw_app"), ("database", "thaw")])).await;
        assert_eq!(client.next().await.kind(), b'R');
        let token = token(&proxy, "thaw_app", std::time::SystemTime::now());
        client.send(&[Frame::new(b'p', &[token.as_bytes(), b"\0"].concat())]).await;
        let (state, told) = refusal(&mut client).await;
        assert!(state == sqlstate && told.contains(text), "{greeting:?}: {state} {told}");
    }
}
