//! The page at `/-/`, for people with a browser, and the files it is made of.
//!
//! Owns that they are part of the program, how browsers keep them and what they may do. The page shows what `/-/api/` says and
//! nothing else, so this does not know the cache; who may look is whoever may ask that.

use std::hash::Hasher as _;
use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::record::Record;
use super::{Caller, Shared, api};
use crate::protocol::error::{ErrorCode, Refusal};

/// Where the page is.
const PATH: &str = "/-/";
/// Where the files it asks for are.
const ASSETS: &str = "/-/assets/";

/// One of the files.
struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal, $kind:literal, $file:literal;)*) => {
        &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("page/", $file)) },)*]
    };
}

/// The page itself comes first.
static FILES: &[Asset] = assets! {
    "", "text/html; charset=utf-8", "page.html";
    "page.css", "text/css; charset=utf-8", "page.css";
    "page.js", "text/javascript; charset=utf-8", "page.js";
    "charts.js", "text/javascript; charset=utf-8", "charts.js";
    "connect.js", "text/javascript; charset=utf-8", "connect.js";
    "dom.js", "text/javascript; charset=utf-8", "dom.js";
    "format.js", "text/javascript; charset=utf-8", "format.js";
    "history.js", "text/javascript; charset=utf-8", "history.js";
    "size.js", "text/javascript; charset=utf-8", "size.js";
    "tables.js", "text/javascript; charset=utf-8", "tables.js";
    "icon.svg", "image/svg+xml", "icon.svg";
    "uplot.js", "text/javascript; charset=utf-8", "uplot/uPlot.iife.min.js";
    "uplot.css", "text/css; charset=utf-8", "uplot/uPlot.min.css";
    "uplot-license.txt", "text/plain; charset=utf-8", "uplot/LICENSE";
};

/// One tag for all: they belong together, and an update of the server changes all at once for a browser that has them.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = twox_hash::XxHash3_64::new();
    for file in FILES {
        hash.write(file.name.as_bytes());
        hash.write(file.bytes);
    }
    format!("\"{:016x}\"", hash.finish())
});

/// Nothing from anywhere else, nothing written into the page itself, no frames around it: whatever a client calls its
/// objects, the browser runs no code of it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// True for the paths that are answered here.
pub(super) fn owns(path: &str) -> bool {
    matches!(path, "/-" | PATH) || path.starts_with(ASSETS)
}

/// Answers one of them, to those who may look.
pub(super) async fn answer(
    shared: &Shared,
    request: Request<Body>,
    caller: &Caller,
    record: &mut Record,
) -> Response<Body> {
    match api::admit(shared, request, caller, record).await {
        Ok(request) => file(&request.method, request.uri.path(), &request.headers).unwrap_or_else(|| {
            Refusal::new(ErrorCode::NotFound, "the page has no such file").into_response()
        }),
        Err(refusal) => refusal.into_response(),
    }
}

/// The page or one of its files. `None`: there is none of this path.
fn file(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let name = match path {
        "/-" | PATH => "",
        other => other.strip_prefix(ASSETS).filter(|name| !name.is_empty())?,
    };
    let asset = FILES.iter().find(|asset| asset.name == name)?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(bare(StatusCode::METHOD_NOT_ALLOWED, header::ALLOW, "GET, HEAD"));
    }
    if path == "/-" {
        // Relative, so that it holds behind whatever stands in front of the server.
        return Some(bare(StatusCode::PERMANENT_REDIRECT, header::LOCATION, "-/"));
    }
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| value.as_bytes() == TAG.as_bytes());
    let (status, body) = if known {
        (StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        (StatusCode::OK, Body::from(Bytes::from_static(asset.bytes)))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let fields = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // Kept, but asked for each time.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    response.headers_mut().extend(fields);
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}

fn bare(status: StatusCode, name: HeaderName, value: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Response<Body>> {
        file(&Method::GET, path, &HeaderMap::new())
    }

    #[test]
    fn everything_the_page_names_is_there_and_nothing_is_left_over() {
        let text = |name: &str| {
            let file = FILES.iter().find(|file| file.name == name).unwrap();
            std::str::from_utf8(file.bytes).unwrap()
        };
        let html = text("");
        for file in &FILES[1..] {
            let in_html = html.contains(&format!("\"assets/{}\"", file.name));
            let import = format!("from \"./{}\"", file.name);
            let imported =
                FILES.iter().any(|other| other.name.ends_with(".js") && text(other.name).contains(&import));
            assert!(in_html || imported, "nothing asks for {}", file.name);
        }
        let named = FILES.iter().flat_map(|file| {
            let parts = text(file.name).split(['"', '\'']).collect::<Vec<_>>();
            parts.into_iter().filter_map(|part| part.strip_prefix("assets/").or(part.strip_prefix("./")))
        });
        for name in named {
            assert!(get(&format!("{ASSETS}{name}")).is_some(), "{name} is asked for and not there");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_made_of_html() {
        for file in FILES.iter().filter(|file| !file.name.starts_with("uplot")) {
            let text = std::str::from_utf8(file.bytes).unwrap().replace("http://www.w3.org/2000/svg", "");
            for bad in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                " style=\"",
                " onclick",
            ] {
                // What a line to copy is compared with.
                let text = text.replace("startsWith(\"https://\")", "");
                assert!(!text.contains(bad), "{} has {bad}", file.name);
            }
        }
    }

    #[test]
    fn a_browser_that_has_the_files_is_told_so() {
        let first = get(PATH).unwrap();
        let tag = first.headers()[header::ETAG].clone();
        assert_eq!(first.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        let again = file(&Method::GET, PATH, &HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)])).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/-").unwrap().headers()[header::LOCATION], "-/");
        assert_eq!(
            file(&Method::POST, PATH, &HeaderMap::new()).unwrap().status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
        for own in ["/-", PATH, "/-/assets/page.js", "/-/assets/none"] {
            assert!(owns(own), "{own}");
        }
        for other in ["/-/api/summary", "/-/healthy", "/-/x", "/"] {
            assert!(!owns(other), "{other}");
        }
        for path in ["/-/assets/", "/-/assets/none", "/-/assets/../page.html"] {
            assert!(get(path).is_none(), "{path}");
        }
    }
}
