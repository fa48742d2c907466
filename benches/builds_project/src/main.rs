//! Short names for links, each looked at when somebody asks for its state. Built by benches/builds, for the crates it stands on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use clap::Parser;
use serde::{Deserialize, Serialize};

#[derive(Parser)]
struct Settings {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[derive(Clone, Deserialize, Serialize)]
struct Link {
    to: String,
    #[serde(default = "Utc::now")]
    since: DateTime<Utc>,
}

#[derive(Clone, Default)]
struct Shelf {
    links: Arc<Mutex<HashMap<String, Link>>>,
    client: reqwest::Client,
}

impl Shelf {
    fn find(&self, name: &str) -> Result<Link, StatusCode> {
        self.links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
            .ok_or(StatusCode::NOT_FOUND)
    }
}

async fn follow(State(shelf): State<Shelf>, Path(name): Path<String>) -> Result<Redirect, StatusCode> {
    Ok(Redirect::temporary(&shelf.find(&name)?.to))
}

async fn keep(State(shelf): State<Shelf>, Path(name): Path<String>, Json(link): Json<Link>) -> StatusCode {
    tracing::info!(name, to = link.to, "kept");
    shelf.links.lock().unwrap_or_else(PoisonError::into_inner).insert(name, link);
    StatusCode::CREATED
}

async fn state(
    State(shelf): State<Shelf>,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, StatusCode> {
    let link = shelf.find(&name)?;
    let answer = shelf.client.head(&link.to).send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(Json(serde_json::json!({ "link": link, "status": answer.status().as_u16() })))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let settings = Settings::parse();
    let router = Router::new()
        .route("/{name}", get(follow).put(keep))
        .route("/{name}/state", get(state))
        .with_state(Shelf::default());
    axum::serve(tokio::net::TcpListener::bind(settings.listen).await?, router).await?;
    Ok(())
}
