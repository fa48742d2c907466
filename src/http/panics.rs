//! Catches a panic inside a request, so that it costs that request and not its connection.
//!
//! It must not swallow: the caller logs what was caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `future`; `Err` is the message of its panic. It stays where the caller has pinned it: to move it is to copy it.
///
/// Nothing the future touched is used again after a panic except what is shared between requests, and that is
/// behind locks that do not poison, or atomic: hence unwind safety is asserted.
pub(super) async fn catch<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, String> {
    std::future::poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(message(&*panic))),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::catch;

    #[tokio::test]
    async fn a_panic_is_an_error_and_other_results_pass() {
        assert_eq!(catch(pin!(async { 7 })).await, Ok(7));
        let late = async {
            tokio::task::yield_now().await;
            panic!("number {}", 7)
        };
        let caught: Result<(), String> = catch(pin!(late)).await;
        assert_eq!(caught, Err("number 7".to_owned()));
    }
}
