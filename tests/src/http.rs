//! A small blocking HTTP client: no redirects, no decoding, every status is an answer.

use std::sync::OnceLock;
use std::time::Duration;

use ureq::Agent;

/// No answer of an edge may take longer: it holds a request for at most three target durations.
const BOUND: Duration = Duration::from_secs(40);
const BODY_LIMIT: u64 = 256 * 1024 * 1024;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// A header's value, or "".
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

/// Asks for a URL; `Err` when nobody answers.
pub fn try_get(url: &str, headers: &[(&str, &str)]) -> Result<Response, String> {
    let mut request = agent().get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut response = request.call().map_err(|error| format!("{url}: {error}"))?;
    let body = response
        .body_mut()
        .with_config()
        .limit(BODY_LIMIT)
        .read_to_vec()
        .map_err(|error| format!("{url}: {error}"))?;
    Ok(Response {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body,
    })
}

/// Asks for a URL that must answer.
#[track_caller]
pub fn get(url: &str) -> Response {
    match try_get(url, &[]) {
        Ok(response) => response,
        Err(error) => panic!("no answer: {error}"),
    }
}

/// Asks for a URL that must answer 200.
#[track_caller]
pub fn get_ok(url: &str) -> Response {
    let response = get(url);
    assert_eq!(response.status, 200, "{url}: {}", response.text());
    response
}

fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    AGENT.get_or_init(|| {
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(BOUND))
            .build()
            .into()
    })
}
