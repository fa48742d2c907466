//! Catches a panic inside a request, so that it costs that request and not its connection.
//!
//! It must not swallow: the caller logs what was caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `work`; `Err` is the message of its panic.
///
/// Nothing that was touched is used again after a panic except what is shared between requests, and that is
/// behind locks that do not poison, or atomic: hence unwind safety is asserted.
pub(super) fn catch<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// Runs `future` to its end, in the same way.
pub(super) async fn catch_in<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, String> {
    std::future::poll_fn(move |cx| match catch(|| future.as_mut().poll(cx)) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(panic)),
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

    use super::{catch, catch_in};

    #[tokio::test]
    async fn a_panic_is_an_error_and_other_results_pass() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch_in(pin!(async { 7 })).await, Ok(7));
        let at_once: Result<(), String> = catch(|| panic!("a text"));
        assert_eq!(at_once, Err("a text".to_owned()));
        let late = async {
            tokio::task::yield_now().await;
            panic!("number {}", 7)
        };
        let caught: Result<(), String> = catch_in(pin!(late)).await;
        assert_eq!(caught, Err("number 7".to_owned()));
    }
}
