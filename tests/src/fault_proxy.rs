//! A forwarder between the functions and Postgres that fails as networks fail, and counts what passes.
//!
//! What it cannot show: packets that are lost and sent again. A silent flow here is one whose bytes are read and withheld, so the sender's
//! kernel sees them acknowledged; on a real dead flow they would stay unacknowledged, which ends a connection sooner, never later. Only
//! [`Fault::Vanished`] is as real towards the server: its packets are dropped before the kernel answers them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

mod pump;

use pump::{End, Pump};

/// Whose bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those that the client sends.
    Client,
    /// Those that the server sends.
    Server,
}

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
    CutAfter(usize),
    /// The first flow that carries anything after the fault began is reset as soon as exactly so many bytes of this side have passed on it
    /// since. All others go on, so that what is sent again gets through.
    CutOnce(Side, usize),
    /// As that, but the flow is not reset: the bytes that follow are withheld, and pass when the next fault begins. They are lost where the
    /// client ends before.
    HoldOnce(Side, usize),
    /// The server's next bytes on each flow are replaced by ones that are no message.
    Garbage,
    /// The server's next bytes on each flow are replaced by the head of a message of nearly 2 GiB.
    Oversized,
    /// The server's next bytes on each flow are replaced by a message whose length leaves no room for the length itself.
    Undersized,
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
    fault: watch::Sender<Arc<Begun>>,
    flows: AtomicU64,
    round_trips: AtomicU64,
    client_bytes: AtomicU64,
    server_bytes: AtomicU64,
}

/// A fault, since it began.
#[derive(Default)]
struct Begun {
    fault: Fault,
    /// How many flows there were.
    flows_before: u64,
    /// The number of the flow that a fault of a single flow has chosen; 0 as long as there is none.
    chosen: AtomicU64,
    /// Whether that flow came as far as the fault says.
    is_met: AtomicBool,
}

impl Begun {
    /// Whether the flow existed already.
    fn is_older(&self, flow: u64) -> bool {
        flow <= self.flows_before
    }

    /// Whether a fault of a single flow is this one's: it is the first that asks.
    fn chooses(&self, flow: u64) -> bool {
        match self.chosen.compare_exchange(0, flow, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(chosen) => chosen == flow,
        }
    }
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
            server_bytes: AtomicU64::new(0),
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
        let flows_before = self.shared.flows.load(Ordering::SeqCst);
        self.shared.fault.send_replace(Arc::new(Begun { fault, flows_before, ..Begun::default() }));
    }

    /// Whether a flow came as far as [`Fault::CutOnce`] or [`Fault::HoldOnce`] says.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.shared.fault.borrow().is_met.load(Ordering::SeqCst)
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

    /// How many bytes the server sent so far.
    #[must_use]
    pub fn server_bytes(&self) -> u64 {
        self.shared.server_bytes.load(Ordering::SeqCst)
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
    if fault.borrow().fault == Fault::Reset {
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
        if unplugging.wait_for(|begun| begun.fault == Fault::Vanished && begun.is_older(number)).await.is_ok() {
            drop_packets(&spare_server).unwrap();
        }
        std::future::pending::<()>().await;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let upward = Pump { number, side: Side::Client, asked: Arc::clone(&asked), shared: Arc::clone(&shared), fault: shared.fault.subscribe() };
    let downward = Pump { number, side: Side::Server, asked, shared: Arc::clone(&shared), fault: shared.fault.subscribe() };
    let (upward, downward) = (upward.run(from_client, to_server), downward.run(from_server, to_client));
    tokio::select! {
        end = downward => if end == End::Cut { reset(&spare) },
        end = upward => if end == End::Cut { reset(&spare) },
        () = was_reset(&mut fault) => reset(&spare),
        () = vanished => {}
    }
}

/// From now on the kernel takes no packet for this socket, as if its machine were gone.
fn drop_packets<'a>(socket: impl Into<socket2::SockRef<'a>>) -> std::io::Result<()> {
    // Classic BPF: return 0.
    socket.into().attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])
}

async fn was_reset(fault: &mut watch::Receiver<Arc<Begun>>) {
    drop(fault.wait_for(|begun| begun.fault == Fault::Reset).await);
}

fn reset(stream: &TcpStream) {
    // A linger time of zero makes the close send RST.
    drop(stream.set_zero_linger());
}

#[cfg(test)]
mod tests;
