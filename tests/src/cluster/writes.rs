//! Writes that the API server took, from its audit log: how a test counts what a controller really did.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Cluster;

/// One write that was carried out.
#[derive(Clone, Debug)]
pub struct Write {
    /// Who wrote, such as `system:serviceaccount:banyan-system:banyan`.
    pub user: String,
    /// `create`, `update`, `patch` or `delete`.
    pub verb: String,
    /// What was written, such as `streamtopologies/status`.
    pub resource: String,
    pub namespace: String,
    pub name: String,
    /// The pod whose token was shown; empty for others.
    pub pod: String,
    /// When the API server got it, as RFC 3339 in UTC with microseconds, which sort as they are.
    pub at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    request_received_timestamp: String,
    user: User,
    object_ref: Option<Reference>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

/// In a user's extra fields, by the API server: the pod that a token is bound to.
const POD: &str = "authentication.kubernetes.io/pod-name";

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl Cluster {
    /// Every write so far by a user whose name ends with `user`; empty on an existing cluster, whose log is not here.
    pub fn writes(&self, user: &str) -> Vec<Write> {
        let Some(run) = self.run() else {
            return Vec::new();
        };
        let log = std::fs::read_to_string(run.join("audit.log")).unwrap_or_default();
        log.lines()
            .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
            .filter(|entry| entry.user.username.ends_with(user))
            .filter(|entry| {
                entry
                    .response_status
                    .as_ref()
                    .is_some_and(|status| (200..300).contains(&status.code))
            })
            .filter_map(|entry| {
                let object = entry.object_ref?;
                let resource = match object.subresource.as_str() {
                    "" => object.resource,
                    sub => format!("{}/{sub}", object.resource),
                };
                let pod = entry.user.extra.get(POD).and_then(|names| names.first());
                Some(Write {
                    pod: pod.cloned().unwrap_or_default(),
                    at: entry.request_received_timestamp,
                    user: entry.user.username,
                    verb: entry.verb,
                    resource,
                    namespace: object.namespace,
                    name: object.name,
                })
            })
            .collect()
    }
}
