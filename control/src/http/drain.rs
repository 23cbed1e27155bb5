//! `POST /api/members/{member}/drain`: asks a member to leave.
//!
//! A page of another origin must not be able to do this through a visitor's browser: the request
//! needs a header that only a preflighted one can have, preflights are not granted, and an `Origin`
//! other than this host is refused.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::App;
use crate::topology::DrainError;

pub(super) const PATH: &str = "/api/members/{member}/drain";
pub(super) const UNDER: &str = "/api/members/";

/// To be sent with any value.
pub const HEADER: &str = "x-banyan";

pub(super) async fn serve(
    State(app): State<App>,
    Path(member): Path<String>,
    headers: HeaderMap,
) -> Response {
    let refuse = |status: StatusCode, sentence: String| (status, sentence + "\n").into_response();
    if !app.changes {
        let sentence = "this control plane changes nothing over HTTP; members are drained by whoever may change their pods";
        return refuse(StatusCode::FORBIDDEN, sentence.to_owned());
    }
    if !headers.contains_key(HEADER) {
        let sentence = format!("header {HEADER} is missing; any value is accepted");
        return refuse(StatusCode::FORBIDDEN, sentence);
    }
    if !is_same_origin(&headers) {
        let sentence = "a page of another origin may not ask for this".to_owned();
        return refuse(StatusCode::FORBIDDEN, sentence);
    }
    match app.shared.with(|topology, _| topology.drain(&member)) {
        Ok(drain) => {
            app.shared.wake_calls();
            let answer = json!({ "member": member, "drain": drain.as_str() });
            (
                StatusCode::ACCEPTED,
                [(header::CONTENT_TYPE, "application/json")],
                format!("{answer}\n"),
            )
                .into_response()
        }
        Err(error @ DrainError::Unknown { .. }) => refuse(StatusCode::NOT_FOUND, error.to_string()),
        Err(error @ DrainError::Absent { .. }) => refuse(StatusCode::CONFLICT, error.to_string()),
    }
}

/// No browser sent it, or a page that this host served.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let authority = origin.as_ref().and_then(|origin| origin.authority());
    host.is_some() && authority.map(|authority| authority.as_str()) == host
}
