//! The HTTP side: an index of topologies, and under each the page and the API of its control plane. Nothing is changed
//! here. A Service picks any replica, so one that does not lead fetches from the one that does.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use tower::ServiceExt;

use super::Members;
use crate::release::HTTP_PORT;

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
        .layer(middleware::from_fn_with_state(
            Replica::new(members.clone()),
            by_leader,
        ))
        .with_state(members)
}

/// This replica among the others.
#[derive(Clone)]
struct Replica {
    members: Members,
    client: Client<HttpConnector, Body>,
}

impl Replica {
    fn new(members: Members) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { members, client }
    }
}

/// Answers here, or asks the replica that leads.
async fn by_leader(State(replica): State<Replica>, request: Request, next: Next) -> Response {
    let (leading, leader) = {
        let state = replica.members.state();
        (state.is_leading(), state.leader().map(str::to_owned))
    };
    let forwarded = request.headers().contains_key(&FORWARDED);
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let own = request.uri().path() == "/healthz";
    let to = leader
        .as_deref()
        .and_then(page_of)
        .filter(|_| read && !forwarded);
    match to {
        _ if leading || own => next.run(request).await,
        Some(to) => forward(&replica.client, request, &to)
            .await
            .unwrap_or_else(|| standby(leader.as_deref())),
        None => standby(leader.as_deref()),
    }
}

/// Where the leader that members attach to serves its pages.
fn page_of(leader: &str) -> Option<String> {
    let leader: Uri = leader.parse().ok()?;
    leader.scheme()?;
    Some(format!("http://{}:{HTTP_PORT}", leader.host()?))
}

/// `None` where the leader cannot be reached.
async fn forward(
    client: &Client<HttpConnector, Body>,
    mut request: Request,
    to: &str,
) -> Option<Response> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("{to}{path}").parse().ok()?;
    let headers = request.headers_mut();
    headers.remove(header::HOST);
    headers.remove(header::CONNECTION);
    headers.insert(FORWARDED, HeaderValue::from_static("1"));
    match client.request(request).await {
        Ok(response) => Some(response.map(Body::new)),
        Err(error) => {
            tracing::debug!(to, %error, "the leader's page cannot be had");
            None
        }
    }
}

/// Set on what one replica asks another, who does not pass it on.
const FORWARDED: HeaderName = HeaderName::from_static("banyan-forwarded");

const CONNECT: std::time::Duration = std::time::Duration::from_secs(2);

async fn topologies(State(members): State<Members>) -> Response {
    match rows(&members) {
        Ok(rows) => {
            let open = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
            ([open, (header::CACHE_CONTROL, "no-store")], Json(rows)).into_response()
        }
        Err(leader) => standby(leader.as_deref()),
    }
}

async fn index(State(members): State<Members>) -> Response {
    let rows = match rows(&members) {
        Ok(rows) => rows,
        Err(leader) => return standby(leader.as_deref()),
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

/// What there is; an error is the URI of the replica to ask instead, where one is known.
fn rows(members: &Members) -> Result<Vec<Row>, Option<String>> {
    let state = members.state();
    if !state.is_leading() {
        return Err(state.leader().map(ToString::to_string));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leaders_page_is_on_its_host() {
        assert_eq!(
            page_of("http://10.0.8.8:7400").unwrap(),
            "http://10.0.8.8:8080"
        );
        assert_eq!(
            page_of("http://[fd00::8]:7400").unwrap(),
            "http://[fd00::8]:8080"
        );
        assert_eq!(page_of("nonsense"), None);
    }

    #[tokio::test]
    async fn what_is_asked_here_is_fetched_there_and_marked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = format!("http://{}", listener.local_addr().unwrap());
        let leader = Router::new().route(
            "/api/topologies",
            get(|request: Request| async move {
                assert_eq!(request.headers()[FORWARDED], "1");
                assert_eq!(request.uri().query(), Some("x=1"));
                ([(header::CACHE_CONTROL, "no-store")], "[1]")
            }),
        );
        tokio::spawn(async move { axum::serve(listener, leader).await });
        let members = Members::new(crate::members::Settings {
            grpc: "127.0.0.1:0".parse().unwrap(),
            http: "127.0.0.1:0".parse().unwrap(),
            watch_namespace: None,
        });
        let client = Replica::new(members).client;
        let request = || {
            Request::get("/api/topologies?x=1")
                .body(Body::empty())
                .unwrap()
        };
        let answer = forward(&client, request(), &to).await.unwrap();
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        let body = axum::body::to_bytes(answer.into_body(), 64).await.unwrap();
        assert_eq!(&*body, b"[1]");
        assert!(
            forward(&client, request(), "http://127.0.0.1:1")
                .await
                .is_none()
        );
    }
}
