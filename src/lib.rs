//! larder: a build-cache server for sccache, ccache and every tool that speaks the same plain HTTP.
//!
//! The way of a request is the order of these modules; imports only ever point down this list, and
//! `tests/tidy.rs` holds that:
//! `server` → `http` → `auth` → `protocol` → `cache` → `index` → `blobs`, with the leaves
//! `config`, `metrics`, `key`, `object` and `tls` open to all, and `analytics` beside `blobs`. `app` puts them together; `cli` is what a person types.

pub mod analytics;
pub mod app;
pub mod auth;
pub mod blobs;
pub mod bucket;
pub mod cache;
pub mod cli;
pub mod config;
pub mod http;
pub mod index;
pub mod key;
pub mod logging;
pub mod metrics;
pub mod object;
pub mod protocol;
pub mod server;
pub mod sigv4;
pub mod tls;
