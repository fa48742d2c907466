//! Keeps up with the files: looks at them every few seconds and at SIGHUP, and takes over what is good.
//!
//! Polled and not watched: certificates are renewed by renaming, by changing links and over network file systems, and a
//! look every few seconds sees all of it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Files, Tls};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

impl Tls {
    /// Follows the files for as long as it is polled.
    ///
    /// A change is taken in once it has settled, unchanged from one look to the next: certificate and key are two files, and
    /// neither is written at once. SIGHUP does not wait for that.
    pub async fn follow_files(self) {
        let mut hangup = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::warn!(%error, "cannot listen to SIGHUP; certificates are still looked at every 2 s"))
            .ok();
        // What changed between the start and here is taken in, too.
        let (mut taken, mut seen) = (Stamps::default(), self.look().await);
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let asked = tokio::select! {
                _ = hung_up => true,
                () = tokio::time::sleep(INTERVAL) => false,
            };
            let now = self.look().await;
            let settled = now == seen;
            seen = now;
            if asked || (settled && now != taken) {
                taken = now;
                self.take_in().await;
            }
        }
    }

    async fn look(&self) -> Stamps {
        let files = self.0.files.clone();
        // A file system that hangs must not hold up a thread that serves.
        tokio::task::spawn_blocking(move || Stamps::of(&files)).await.unwrap_or_default()
    }

    async fn take_in(&self) {
        let tls = self.clone();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => {
                tracing::info!("the TLS certificate was replaced; new connections get the new one");
            }
            Ok(Ok(false)) => tracing::debug!("the TLS files are what they were"),
            Ok(Err(error)) => {
                tracing::error!(%error, "the TLS files cannot be used, the certificate from before stays in use");
            }
            Err(error) => tracing::error!(%error, "reading the TLS files failed"),
        }
    }
}

/// What tells one version of the files from another.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Stamps([Option<Stamp>; 3]);

/// Device, inode, bytes, and the times of the last change of content and of the file itself, in seconds and nanoseconds.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl Stamps {
    fn of(files: &Files) -> Self {
        let client_ca = files.client_ca.as_deref().and_then(stamp);
        Self([stamp(&files.certificate), stamp(&files.key), client_ca])
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = path.metadata().ok()?;
    let (changed, touched) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
    Some((found.dev(), found.ino(), found.len(), changed, touched))
}
