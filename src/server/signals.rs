//! The signals that end the server.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code after a second signal: the store was not closed in good order.
const IMPATIENT: i32 = 1;

/// Catches SIGTERM and SIGINT from now on. The future completes at the first of them; a second one ends the
/// process at once, for whoever cannot wait for the drain. Nothing acknowledged is lost by that.
///
/// # Errors
/// The handlers could not be installed.
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "told to stop");
        tokio::spawn(async move {
            let name = either(&mut terminate, &mut interrupt).await;
            tracing::warn!(signal = name, "told to stop again, not waiting any longer");
            process::exit(IMPATIENT);
        });
    })
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
