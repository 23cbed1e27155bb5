//! Who a token's bearer is: asked of the API server by TokenReview, remembered for a moment.
//!
//! A token is good for one audience, bound to one pod, and names it. Whether that pod is a member is not decided here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use banyan_proto::trust::AUDIENCE;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::Status;

/// The pod that a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) namespace: String,
    pub(crate) account: String,
    pub(crate) pod: String,
    pub(crate) uid: String,
}

/// Asks, with few questions at a time and a short memory.
pub(crate) struct Reviews {
    api: Api<TokenReview>,
    known: Mutex<HashMap<[u8; 32], (Bearer, Instant)>>,
    asking: Semaphore,
}

impl Reviews {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            api: Api::all(client),
            known: Mutex::default(),
            asking: Semaphore::new(ASKING),
        }
    }

    /// `UNAUTHENTICATED` for a token that does not hold, `UNAVAILABLE` where nobody can tell now.
    pub(crate) async fn bearer(&self, token: &[u8]) -> Result<Bearer, Status> {
        let token = std::str::from_utf8(token)
            .ok()
            .filter(|token| !token.is_empty() && token.len() <= LONGEST)
            .ok_or_else(|| Status::unauthenticated("the credential is not a token"))?;
        let key = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(bearer) = self.recall(&key) {
            return Ok(bearer);
        }
        let Ok(_permit) = self.asking.acquire().await else {
            return Err(Status::unavailable("the control plane is stopping"));
        };
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        let parameters = PostParams::default();
        let asked = self.api.create(&parameters, &review);
        let answered = tokio::time::timeout(ANSWER, asked)
            .await
            .map_err(|_| Status::unavailable("the API server reviewed no token in time"))?;
        let status = answered
            .map_err(|error| {
                tracing::error!(%error, "tokenreviews.authentication.k8s.io cannot be created: no member is let in");
                Status::unavailable("the control plane cannot have tokens reviewed now")
            })?
            .status;
        let bearer = read(&status.unwrap_or_default())?;
        self.remember(key, bearer.clone());
        Ok(bearer)
    }

    fn recall(&self, key: &[u8; 32]) -> Option<Bearer> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (bearer, until) = known.get(key)?;
        (Instant::now() < *until).then(|| bearer.clone())
    }

    fn remember(&self, key: [u8; 32], bearer: Bearer) {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() < REMEMBERED {
            known.insert(key, (bearer, now + MEMORY));
        }
    }
}

fn read(status: &TokenReviewStatus) -> Result<Bearer, Status> {
    let refuse = |why: String| Err(Status::unauthenticated(why));
    if status.authenticated != Some(true) {
        let why = status.error.as_deref().unwrap_or("it is not valid here");
        return refuse(format!("the token was refused: {why}"));
    }
    let audiences = status.audiences.as_deref().unwrap_or_default();
    if !audiences.iter().any(|audience| audience == AUDIENCE) {
        return refuse(format!(
            "the token is for {audiences:?}; one for {AUDIENCE:?} is accepted"
        ));
    }
    let user = status.user.clone().unwrap_or_default();
    let name = user.username.unwrap_or_default();
    let account = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'));
    let Some((namespace, account)) = account else {
        return refuse(format!(
            "the token is of {name:?}; one of a service account is accepted"
        ));
    };
    let extra = user.extra.unwrap_or_default();
    let fact = |name: &str| {
        let key = format!("authentication.kubernetes.io/{name}");
        extra.get(&key).and_then(|values| values.first()).cloned()
    };
    let (Some(pod), Some(uid)) = (fact("pod-name"), fact("pod-uid")) else {
        return refuse(format!(
            "the token of service account {account:?} is bound to no pod; a projected token of a pod is accepted"
        ));
    };
    Ok(Bearer {
        namespace: namespace.to_owned(),
        account: account.to_owned(),
        pod,
        uid,
    })
}

/// A member attaches anew after every change of leader, all at once; a pod that is gone must soon be nobody.
const MEMORY: Duration = Duration::from_secs(60);

/// More members than one control plane is made for.
const REMEMBERED: usize = 8192;

/// Strangers must not be able to make the API server busy through the control plane.
const ASKING: usize = 16;

const ANSWER: Duration = Duration::from_secs(3);

/// Tokens are about a kilobyte.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tonic::Code;

    use super::*;

    /// A client of an API server that answers every request with what `answer` makes of it.
    pub(crate) fn client(
        answer: impl Fn(http::Method, &str, Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> Client {
        let answer = Arc::new(answer);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let answer = answer.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (status, body) = answer(head.method, &head.uri.to_string(), body);
                let response = http::Response::builder().status(status);
                let body = kube::client::Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        Client::new(service, "harbour")
    }

    /// The status of a review of a token of this pod.
    pub(crate) fn reviewed(namespace: &str, account: &str, pod: &str, uid: &str) -> Value {
        json!({
            "authenticated": true,
            "audiences": ["banyan.media"],
            "user": {
                "username": format!("system:serviceaccount:{namespace}:{account}"),
                "extra": {
                    "authentication.kubernetes.io/pod-name": [pod],
                    "authentication.kubernetes.io/pod-uid": [uid],
                },
            },
        })
    }

    pub(crate) fn review(status: Value) -> Value {
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
            "spec": {}, "status": status})
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_token_is_reviewed_once_a_minute_and_for_our_audience() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let reviews = Reviews::new(client(move |method, path, body| {
            assert_eq!(
                (method, path),
                (
                    http::Method::POST,
                    "/apis/authentication.k8s.io/v1/tokenreviews?"
                )
            );
            assert_eq!(
                body["spec"],
                json!({"audiences": ["banyan.media"], "token": "t"})
            );
            count.fetch_add(1, Ordering::Relaxed);
            (
                201,
                review(reviewed("harbour", "quay-edge", "quay-edge-1", "u-1")),
            )
        }));
        for _ in 0..3 {
            let bearer = reviews.bearer(b"t").await.unwrap();
            assert_eq!(
                (&*bearer.namespace, &*bearer.account),
                ("harbour", "quay-edge")
            );
            assert_eq!((&*bearer.pod, &*bearer.uid), ("quay-edge-1", "u-1"));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(MEMORY).await;
        reviews.bearer(b"t").await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn tokens_that_do_not_hold_are_refused_with_a_sentence_and_not_remembered() {
        let good = || reviewed("harbour", "quay-edge", "quay-edge-1", "u-1");
        let with = |path: &str, value: Value| {
            let mut status = good();
            *status.pointer_mut(path).unwrap() = value;
            status
        };
        for (status, part) in [
            (
                json!({"authenticated": false, "error": "token expired"}),
                "token expired",
            ),
            (json!({}), "not valid here"),
            (
                with("/audiences", json!(["https://kubernetes.default.svc"])),
                "\"banyan.media\"",
            ),
            (
                with("/user/username", json!("system:admin")),
                "system:admin",
            ),
            (with("/user/extra", json!({})), "bound to no pod"),
        ] {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let reviews = Reviews::new(client(move |_, _, _| {
                count.fetch_add(1, Ordering::Relaxed);
                (201, review(status.clone()))
            }));
            for _ in 0..2 {
                let refused = reviews.bearer(b"t").await.unwrap_err();
                assert_eq!(refused.code(), Code::Unauthenticated);
                assert!(refused.message().contains(part), "{refused}");
            }
            assert_eq!(asked.load(Ordering::Relaxed), 2);
        }
        let nobody = Reviews::new(client(|_, _, _| panic!("asked about no token")));
        for none in [&b""[..], &[0xff], &[b'x'; LONGEST + 1]] {
            assert_eq!(
                nobody.bearer(none).await.unwrap_err().code(),
                Code::Unauthenticated
            );
        }
    }

    #[tokio::test]
    async fn an_api_server_that_cannot_tell_makes_nobody_a_stranger() {
        let forbidden = json!({"kind": "Status", "status": "Failure", "code": 403,
            "reason": "Forbidden", "message": "tokenreviews is forbidden"});
        let reviews = Reviews::new(client(move |_, _, _| (403, forbidden.clone())));
        assert_eq!(
            reviews.bearer(b"t").await.unwrap_err().code(),
            Code::Unavailable
        );
    }
}
