//! Which namespaces a listing of the whole server may show to the caller of a request.
//!
//! Carried in the request's extensions by whoever knows the caller, so that protocols need not know callers.

use std::sync::Arc;

use http::Extensions;

use crate::key::Namespace;

/// What the caller may see.
#[derive(Clone)]
pub struct Visible(Arc<dyn Fn(&Namespace) -> bool + Send + Sync>);

impl Visible {
    /// Those namespaces for which `shows` is true.
    pub fn new(shows: impl Fn(&Namespace) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(shows))
    }

    /// True when the caller of the request with these extensions may see `namespace`. Where nobody said what it may
    /// see, it sees nothing.
    #[must_use]
    pub fn shows(extensions: &Extensions, namespace: &Namespace) -> bool {
        extensions.get::<Self>().is_some_and(|visible| (visible.0)(namespace))
    }
}
