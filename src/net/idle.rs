//! A body that fails when nothing of it comes for too long.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::BodyError;

/// Fails with [`BodyError::Idle`] when the inner body gives nothing for the given time while it is asked. A body that
/// always has something ready costs no timer.
#[derive(Debug)]
pub struct IdleTimeout<B> {
    inner: B,
    patience: Duration,
    /// Runs while the body is waited for.
    deadline: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<B> IdleTimeout<B> {
    /// Gives up on the body after this time without a piece of it.
    pub fn new(inner: B, patience: Duration) -> Self {
        Self { inner, patience, deadline: None, waiting: false }
    }
}

impl<B> Body for IdleTimeout<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = false;
            return Poll::Ready(frame.map(|f| f.map_err(|e| BodyError::Broken(e.to_string()))));
        }
        let patience = self.patience;
        let restart = !std::mem::replace(&mut self.waiting, true);
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if restart {
            deadline.as_mut().reset(Instant::now() + patience);
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyError::Idle(patience))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_body_that_stops_coming_fails() {
        let pieces = stream::unfold(0, |n| async move {
            if n == 3 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
            Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"piece"))), n + 1))
        });
        let mut body = IdleTimeout::new(StreamBody::new(Box::pin(pieces)), Duration::from_millis(60));
        for _ in 0..3 {
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "piece");
        }
        assert!(matches!(body.frame().await, Some(Err(BodyError::Idle(_)))));
    }
}
