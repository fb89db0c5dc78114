//! A body whose last byte is a frame of its own.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;

/// A body whose last byte is a frame of its own, without its trailers.
///
/// The decoder of `tower-http` refuses what comes after the coded data, but ignores what is in the frame in which that
/// ends. Of a body with such data, the last byte is in a further frame here.
pub(super) struct LastByteApart {
    body: Body,
    /// The last byte that was received; empty if there is none, or if it was returned.
    last: Bytes,
    is_at_end: bool,
}

impl LastByteApart {
    pub(super) fn new(body: Body) -> Self {
        Self { body, last: Bytes::new(), is_at_end: false }
    }
}

impl HttpBody for LastByteApart {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while !self.is_at_end {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)?);
            let Some(Ok(mut data)) = frame.map(Frame::into_data) else {
                self.is_at_end = true;
                break;
            };
            let Some(before_last) = data.len().checked_sub(1) else { continue };

            let last = data.split_off(before_last);
            let former = mem::replace(&mut self.last, last);
            let known = [&*former, &*data].concat();
            if !known.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(known.into()))));
            }
        }
        let last = mem::take(&mut self.last);
        Poll::Ready((!last.is_empty()).then(|| Ok(Frame::data(last))))
    }
}
