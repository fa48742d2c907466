//! The limit on open files: every connection and every open segment is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and warns when `wanted` descriptors would still not fit.
///
/// The soft limit is 1024 on most systems, for the sake of programs that use `select`; this one does not.
pub(super) fn raise_limit(wanted: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files could not be raised");
            limit.current
        }
    };
    if let Some(current) = current.filter(|current| *current < wanted as u64) {
        tracing::warn!(
            open_files_limit = current,
            wanted,
            "the limit on open files is too low for max_connections; raise it (LimitNOFILE, ulimit -n) or lower that"
        );
    }
}
