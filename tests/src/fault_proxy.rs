//! A forwarder between the functions and Postgres that fails as networks fail, and counts what passes.
//!
//! What it cannot show: packets that are lost and sent again. A silent flow here is one whose bytes are read and withheld, so the sender's
//! kernel sees them acknowledged; on a real dead flow they would stay unacknowledged, which ends a connection sooner, never later. Only
//! [`Fault::Vanished`] is as real towards the server: its packets are dropped before the kernel answers them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: bytes pass.
    #[default]
    None,
    /// Bytes are read and go no further; new connections are accepted and are silent too.
    Silence,
    /// As silence, but only for flows that exist when the fault begins.
    OldSilence,
    /// The machine of the flows that exist when the fault begins is gone: nothing comes from it any more, no acknowledgement and no end.
    Vanished,
    /// As silence, but only from the server.
    ServerSilence,
    /// Every flow is reset, and every new one as soon as it is accepted.
    Reset,
    /// Each flow is reset once the server has sent this many bytes on it since the fault began.
    CutAfter(u64),
    /// The server's next bytes on each flow are replaced by ones that are no message.
    Garbage,
    /// The server's next bytes on each flow are replaced by the head of a message of nearly 2 GiB.
    Oversized,
    /// The server's next answer on each flow that exists when the fault begins is replaced by an error with this SQLSTATE, after which the
    /// session is ready again. The server itself did what it was asked to.
    Says(&'static str),
    /// New flows are turned away with this SQLSTATE before they sign in.
    SaysAtConnect(&'static str),
    /// As that, but only the first new flow.
    SaysAtNextConnect(&'static str),
}

/// A forwarder to one address.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    fault: watch::Sender<(Fault, u64)>,
    flows: AtomicU64,
    round_trips: AtomicU64,
    client_bytes: AtomicU64,
}

impl FaultProxy {
    /// Listens on a port of its own and forwards to `upstream`.
    pub async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            fault: watch::Sender::default(),
            flows: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            client_bytes: AtomicU64::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _accepting: accepting }
    }

    /// Whether [`Fault::Vanished`] is to be had: some machines let only root filter a socket.
    #[must_use]
    pub fn can_vanish() -> bool {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        drop_packets(&socket).is_ok()
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins a fault, or with [`Fault::None`] ends it. Bytes that were withheld are lost: the flow they belonged to stays silent.
    pub fn begin(&self, fault: Fault) {
        self.shared.fault.send_replace((fault, self.shared.flows.load(Ordering::SeqCst)));
    }

    /// Leads new flows elsewhere, as a name that points to another server does.
    pub fn point_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = upstream;
    }

    /// How many flows were accepted so far.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.shared.flows.load(Ordering::SeqCst)
    }

    /// How often the client spoke and the server answered, on all flows so far.
    #[must_use]
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::SeqCst)
    }

    /// How many bytes the clients sent so far.
    #[must_use]
    pub fn client_bytes(&self) -> u64 {
        self.shared.client_bytes.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut flows = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = shared.flows.fetch_add(1, Ordering::SeqCst) + 1;
        flows.spawn(forward(client, number, Arc::clone(&shared)));
        while flows.try_join_next().is_some() {}
    }
}

/// One flow until its end. Every way out of here closes both sockets.
async fn forward(client: TcpStream, number: u64, shared: Arc<Shared>) {
    let upstream = *shared.upstream.lock().unwrap();
    let mut fault = shared.fault.subscribe();
    if fault.borrow().0 == Fault::Reset {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return reset(&client) };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let asked = Arc::new(AtomicBool::new(false));
    // A second handle on the same socket, by which it can still be reset.
    let spare = client.into_std().unwrap();
    let client = TcpStream::from_std(spare.try_clone().unwrap()).unwrap();
    let spare = TcpStream::from_std(spare).unwrap();
    let spare_server = server.into_std().unwrap();
    let server = TcpStream::from_std(spare_server.try_clone().unwrap()).unwrap();
    let mut unplugging = shared.fault.subscribe();
    let vanished = async move {
        if unplugging.wait_for(|(fault, flows_before)| *fault == Fault::Vanished && number <= *flows_before).await.is_ok() {
            drop_packets(&spare_server).unwrap();
        }
        std::future::pending::<()>().await;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let upward = Pump { number, server_side: false, asked: Arc::clone(&asked), shared: Arc::clone(&shared), fault: shared.fault.subscribe() };
    let downward = Pump { number, server_side: true, asked, shared: Arc::clone(&shared), fault: shared.fault.subscribe() };
    let (upward, downward) = (upward.run(from_client, to_server), downward.run(from_server, to_client));
    tokio::select! {
        end = downward => if end == End::Cut { reset(&spare) },
        _ = upward => {}
        () = was_reset(&mut fault) => reset(&spare),
        () = vanished => {}
    }
}

/// From now on the kernel takes no packet for this socket, as if its machine were gone.
fn drop_packets<'a>(socket: impl Into<socket2::SockRef<'a>>) -> std::io::Result<()> {
    // Classic BPF: return 0.
    socket.into().attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])
}

async fn was_reset(fault: &mut watch::Receiver<(Fault, u64)>) {
    drop(fault.wait_for(|(fault, _)| *fault == Fault::Reset).await);
}

fn reset(stream: &TcpStream) {
    // A linger time of zero makes the close send RST.
    drop(stream.set_zero_linger());
}

/// `ReadyForQuery`, outside of a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// An `ErrorResponse` (PostgreSQL documentation, section 55.7) with severity, SQLSTATE and a text.
fn error_message(severity: &str, code: &str) -> Vec<u8> {
    let mut fields = Vec::new();
    for (kind, text) in [(b'S', severity), (b'V', severity), (b'C', code), (b'M', "said by the fault proxy")] {
        fields.push(kind);
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    fields.push(0);
    let length = u32::try_from(fields.len() + 4).unwrap();
    [&b"E"[..], &length.to_be_bytes(), &fields].concat()
}

/// How one direction ended.
#[derive(PartialEq, Eq)]
enum End {
    Closed,
    Cut,
}

struct Pump {
    number: u64,
    server_side: bool,
    /// Whether the client's bytes wait for an answer.
    asked: Arc<AtomicBool>,
    shared: Arc<Shared>,
    fault: watch::Receiver<(Fault, u64)>,
}

impl Pump {
    /// Passes bytes on until either side ends, or the flow is cut.
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> End {
        let (mut buffer, mut since_fault, mut seen_fault) = (vec![0; 16 * 1024], 0_u64, Fault::None);
        let (mut spoilt, mut silent) = (false, false);
        let mut said;
        loop {
            let count = match from.read(&mut buffer).await {
                Ok(0) | Err(_) if self.has_vanished() => std::future::pending().await,
                Ok(0) | Err(_) => return End::Closed,
                Ok(count) => count,
            };
            let (fault, flows_before) = *self.fault.borrow_and_update();
            if fault != seen_fault {
                (seen_fault, since_fault, spoilt) = (fault, 0, false);
            }
            silent |= match fault {
                Fault::Silence => true,
                Fault::OldSilence | Fault::Vanished => self.number <= flows_before,
                Fault::ServerSilence => self.server_side,
                _ => false,
            };
            if silent {
                continue;
            }
            self.count(count);
            let mut bytes = &buffer[..count];
            if self.server_side {
                match fault {
                    Fault::CutAfter(limit) if since_fault + count as u64 >= limit => {
                        bytes = &bytes[..usize::try_from(limit - since_fault).unwrap_or(0)];
                        drop(to.write_all(bytes).await);
                        // The client has to see the bytes before the end.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        return End::Cut;
                    }
                    Fault::CutAfter(_) => since_fault += count as u64,
                    Fault::Garbage if !spoilt => (bytes, spoilt) = (b"\x00\xff\x00\x00\x00\x03HTTP/1.1 400\r\n\r\n", true),
                    Fault::Oversized if !spoilt => (bytes, spoilt) = (b"D\x7f\xff\xff\xff\x00\x01", true),
                    Fault::Garbage | Fault::Oversized => continue,
                    Fault::Says(code) if !spoilt && self.number <= flows_before => {
                        (said, spoilt) = ([error_message("ERROR", code), READY.to_vec()].concat(), true);
                        bytes = &said;
                    }
                    Fault::SaysAtConnect(code) | Fault::SaysAtNextConnect(code) if self.is_turned_away(fault, flows_before) => {
                        drop(to.write_all(&error_message("FATAL", code)).await);
                        return End::Closed;
                    }
                    _ => {}
                }
            }
            if to.write_all(bytes).await.is_err() {
                return End::Closed;
            }
        }
    }

    fn is_turned_away(&self, fault: Fault, flows_before: u64) -> bool {
        match fault {
            Fault::SaysAtConnect(_) => self.number > flows_before,
            _ => self.number == flows_before + 1,
        }
    }

    /// Neither end of such a flow hears of the other's.
    fn has_vanished(&self) -> bool {
        let (fault, flows_before) = *self.fault.borrow();
        fault == Fault::Vanished && self.number <= flows_before
    }

    /// A round trip ends with the first bytes of the server after the client's.
    fn count(&self, bytes: usize) {
        if !self.server_side {
            self.shared.client_bytes.fetch_add(bytes as u64, Ordering::SeqCst);
            self.asked.store(true, Ordering::SeqCst);
        } else if self.asked.swap(false, Ordering::SeqCst) {
            self.shared.round_trips.fetch_add(1, Ordering::SeqCst);
        }
    }
}
