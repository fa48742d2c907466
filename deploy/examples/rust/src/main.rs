//! shelf: short names for long links, kept in memory.
//!
//!     curl -X PUT localhost:8080/docs -H 'content-type: application/json' -d '{"to": "https://doc.rust-lang.org/"}'
//!     curl -i localhost:8080/docs

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Clone, Deserialize, Serialize)]
struct Link {
    to: String,
}

type Shelf = Arc<RwLock<BTreeMap<String, Link>>>;

fn router(shelf: Shelf) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/{name}", get(follow).put(keep).delete(forget))
        .with_state(shelf)
}

async fn list(State(shelf): State<Shelf>) -> Json<BTreeMap<String, Link>> {
    Json(shelf.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone())
}

async fn follow(State(shelf): State<Shelf>, Path(name): Path<String>) -> Result<Redirect, StatusCode> {
    let shelf = shelf.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    shelf.get(&name).map(|link| Redirect::temporary(&link.to)).ok_or(StatusCode::NOT_FOUND)
}

async fn keep(State(shelf): State<Shelf>, Path(name): Path<String>, Json(link): Json<Link>) -> StatusCode {
    tracing::info!(name, to = link.to, "kept");
    let before = shelf.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(name, link);
    if before.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED }
}

async fn forget(State(shelf): State<Shelf>, Path(name): Path<String>) -> StatusCode {
    match shelf.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&name) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();
    let address = std::env::var("SHELF_LISTEN").unwrap_or_else(|_| "0.0.0.0:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    tracing::info!(%address, "listening");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    axum::serve(listener, router(Shelf::default())).with_graceful_shutdown(stop).await
}
