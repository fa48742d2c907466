//! The audit: one line for each refused request and each reload of the rules, under the target `larder::audit`,
//! and a counter by reason.
//!
//! Owns which fields a line has. Headers, queries and secrets, in whatever form, never come here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::IntCounterVec;

use super::failures::Failures;
use super::reload::{Change, NotReplaced};
use super::{Denied, ExchangeError, Exchanged, Principal, Rejected};
use crate::config::{Problems, print_expiry};
use crate::metrics::Metrics;

/// Longest part of a path that a line shows, in bytes: a caller must not fill the log.
const MOST_PATH_BYTES: usize = 256;

/// Writes the lines and keeps them few.
pub struct Audit {
    refusals: IntCounterVec,
    failures: Mutex<Failures>,
}

/// A request, as a line shows it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Where it came from.
    pub peer: SocketAddr,
    /// On whose behalf, where that is known.
    pub principal: Option<&'a Principal>,
    /// Its method, one of the known labels.
    pub method: &'a str,
    /// Its path, without the query: a presigned URL's signature stands there.
    pub path: &'a str,
}

impl Audit {
    /// An audit that has seen nothing yet.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self { refusals: metrics.auth_refusals.clone(), failures: Mutex::new(Failures::new(Instant::now())) }
    }

    /// Notes that nobody is known to have made this request; how long its answer is to wait.
    #[must_use]
    pub fn rejected(&self, attempt: &Attempt<'_>, rejected: &Rejected) -> Duration {
        self.refused(attempt, rejected.reason(), rejected.is_guess())
    }

    /// Notes that a known caller may not do this. Nothing waits: a build that goes on read-only must not be slower.
    pub fn denied(&self, attempt: &Attempt<'_>, denied: &Denied) {
        let _no_delay = self.refused(attempt, denied.reason(), false);
    }

    /// Notes that an identity token was not exchanged; how long the answer is to wait.
    #[must_use]
    pub fn not_exchanged(&self, attempt: &Attempt<'_>, error: &ExchangeError) -> Duration {
        match error.unruled() {
            None => self.refused(attempt, error.reason(), error.is_guess()),
            Some(job) => {
                let principal = Principal::Job(job);
                self.refused(&Attempt { principal: Some(&principal), ..*attempt }, error.reason(), false)
            }
        }
    }

    /// Notes a refusal for a reason of a protocol's own, such as a wrong signature; `guess` when it may have been an
    /// attempt at a secret. How long its answer is to wait.
    #[must_use]
    pub fn refused(&self, attempt: &Attempt<'_>, reason: &'static str, guess: bool) -> Duration {
        self.refusals.with_label_values(&[reason]).inc();
        let verdict = self.failures.lock().note(attempt.peer.ip(), guess, Instant::now());
        if let Some(left_out) = verdict.line {
            let end = attempt.path.floor_char_boundary(MOST_PATH_BYTES);
            tracing::warn!(
                target: "larder::audit",
                reason,
                principal = attempt.principal.map(tracing::field::display),
                peer = %attempt.peer,
                method = attempt.method,
                path = &attempt.path[..end],
                // Lines of this address, or of all, that were left out before this one.
                left_out = (left_out > 0).then_some(left_out),
                "refused",
            );
        }
        verdict.delay
    }
}

/// Notes that a job got a cache token: who, from where, by which rule, and for what.
pub fn exchanged(peer: SocketAddr, exchanged: &Exchanged) {
    let job = &exchanged.job;
    tracing::info!(
        target: "larder::audit",
        principal = job.subject(),
        %peer,
        issuer = job.issuer(),
        rule = exchanged.rule,
        namespaces = words(job.namespaces()),
        allow = words(job.allow()),
        expires = print_expiry(job.expires()),
        "identity token exchanged",
    );
}

/// Notes that new rules are in force.
pub fn reloaded(change: &Change) {
    tracing::info!(
        target: "larder::audit",
        added = names(&change.added),
        removed = names(&change.removed),
        changed = names(&change.changed),
        anonymous = change.anonymous.as_ref().map(tracing::field::display),
        oidc = change.oidc.then_some("changed"),
        "access rules reloaded",
    );
}

/// Notes that new rules were refused, and the old ones stay in force.
pub fn not_replaced(error: &NotReplaced) {
    tracing::error!(target: "larder::audit", %error, "access rules not reloaded, the old ones stay in force");
}

/// Notes that a configuration is wrong, and the old rules stay in force: one line a problem.
pub fn not_reloaded(problems: &Problems) {
    for problem in &problems.0 {
        tracing::error!(
            target: "larder::audit",
            %problem,
            "access rules not reloaded, the old ones stay in force",
        );
    }
}

fn names(tokens: &[crate::config::TokenName]) -> Option<String> {
    let names: Vec<_> = tokens.iter().map(crate::config::TokenName::as_str).collect();
    (!names.is_empty()).then(|| names.join(" "))
}

fn words<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}
