//! A network that loses everything for a while: bytes stay where they are, as TCP keeps them, and travel on afterwards.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// How many silences there are now.
pub(super) type Silences = watch::Sender<usize>;

/// Between the stand-in and its clients nothing travels until this is dropped. New connections come about, as the system makes them, and say
/// nothing.
pub struct Silence(Arc<Silences>);

impl Silence {
    pub(super) fn begin(silences: &Arc<Silences>) -> Self {
        silences.send_modify(|count| *count += 1);
        Self(Arc::clone(silences))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A stream on which nothing happens during a silence.
pub(super) struct Silenceable<T> {
    stream: T,
    silences: watch::Receiver<usize>,
    /// Waits for the end of the silence, while there is one.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<T> Silenceable<T> {
    pub(super) fn new(stream: T, silences: watch::Receiver<usize>) -> Self {
        Self { stream, silences, end: None }
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if *self.silences.borrow() == 0 && self.end.is_none() {
            return Poll::Ready(());
        }
        let end = self.end.get_or_insert_with(|| {
            let mut silences = self.silences.clone();
            // A sender that is gone silences nobody.
            Box::pin(async move { drop(silences.wait_for(|count| *count == 0).await) })
        });
        ready!(end.as_mut().poll(context));
        self.end = None;
        Poll::Ready(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Silenceable<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_silence(context));
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Silenceable<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_silence(context));
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_silence(context));
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_silence(context));
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn nothing_travels_in_a_silence_and_everything_after_it() {
        let silences = Arc::new(Silences::new(0));
        let (stream, mut other) = duplex(1_024);
        let mut stream = Silenceable::new(stream, silences.subscribe());
        other.write_all(b"one").await.unwrap();
        let mut three = [0; 3];
        stream.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"one");

        let (first, second) = (Silence::begin(&silences), Silence::begin(&silences));
        other.write_all(b"two").await.unwrap();
        let moment = Duration::from_millis(10);
        assert!(tokio::time::timeout(moment, stream.read_exact(&mut three)).await.is_err());
        assert!(tokio::time::timeout(moment, stream.write_all(b"abc")).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(moment, stream.read_exact(&mut three)).await.is_err(), "the other silence goes on");
        let reading = tokio::spawn(async move {
            stream.read_exact(&mut three).await.unwrap();
            stream.write_all(b"abc").await.unwrap();
            three
        });
        tokio::time::sleep(moment).await;
        drop(second);
        assert_eq!(&reading.await.unwrap(), b"two", "a read that waited is woken");
        other.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"abc");
    }
}
