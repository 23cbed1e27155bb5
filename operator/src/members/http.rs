//! The HTTP side: an index of topologies, and under each the page and the API of its control plane. Nothing is changed
//! here.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::Serialize;
use tower::ServiceExt;

use super::Members;

/// A topology in the index.
#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    /// Where its page is, relative to this server's root.
    page: String,
    /// Members that exist.
    members: usize,
}

pub(crate) fn router(members: Members) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/topologies", get(topologies))
        .route("/topologies/{namespace}/{name}", get(add_slash))
        .route("/topologies/{namespace}/{name}/", any(nested))
        .route("/topologies/{namespace}/{name}/{*rest}", any(nested))
        .with_state(members)
}

async fn topologies(State(members): State<Members>) -> Response {
    match rows(&members) {
        Ok(rows) => {
            let open = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            ([open, (header::CACHE_CONTROL, "no-store")], Json(rows)).into_response()
        }
        Err(standby) => standby,
    }
}

async fn index(State(members): State<Members>) -> Response {
    let rows = match rows(&members) {
        Ok(rows) => rows,
        Err(standby) => return standby,
    };
    // Names of namespaces and topologies are DNS labels: nothing in them needs escaping.
    let list: String = rows
        .iter()
        .map(|row| {
            format!(
                "<li><a href=\"{}\">{}/{}</a></li>\n",
                row.page, row.namespace, row.name
            )
        })
        .collect();
    let list = if list.is_empty() {
        "<p>There is no StreamTopology yet.</p>\n".to_owned()
    } else {
        format!("<ul>\n{list}</ul>\n")
    };
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Banyan</title>\n<h1>Topologies</h1>\n{list}</html>\n"
    ))
    .into_response()
}

fn rows(members: &Members) -> Result<Vec<Row>, Response> {
    let state = members.state();
    if !state.is_leading() {
        return Err(standby(state.leader()));
    }
    let row = |((namespace, name), served): (&super::Key, &super::state::Served)| Row {
        page: format!("topologies/{namespace}/{name}/"),
        members: served.placed.members.len(),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    Ok(state.all_served().map(row).collect())
}

async fn add_slash(uri: Uri) -> Response {
    // Relative to itself, so that it holds behind any prefix: the page's own addresses are relative to the slash.
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    (
        StatusCode::PERMANENT_REDIRECT,
        [(header::LOCATION, format!("{last}/"))],
    )
        .into_response()
}

async fn nested(
    State(members): State<Members>,
    Path(parts): Path<std::collections::HashMap<String, String>>,
    mut request: Request,
) -> Response {
    let part = |name: &str| parts.get(name).cloned().unwrap_or_default();
    let key = (part("namespace"), part("name"));
    let router = {
        let state = members.state();
        if !state.is_leading() {
            return standby(state.leader());
        }
        state.served(&key).map(|served| served.router.clone())
    };
    let Some(router) = router else {
        let sentence = format!(
            "there is no StreamTopology {:?} in namespace {:?}\n",
            key.1, key.0
        );
        return (StatusCode::NOT_FOUND, sentence).into_response();
    };
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    // /topologies/NAMESPACE/NAME/REST
    let rest = path.splitn(5, '/').nth(4).unwrap_or_default();
    match format!("/{rest}").parse() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    }
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Another replica knows.
fn standby(leader: Option<&str>) -> Response {
    let sentence = match leader {
        Some(leader) => format!("this replica does not lead; {leader} does\n"),
        None => "this replica does not lead, and no other is known to\n".to_owned(),
    };
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    if let Some(leader) = leader.and_then(|leader| HeaderValue::from_str(leader).ok()) {
        headers.insert(HeaderName::from_static("banyan-leader"), leader);
    }
    response
}
