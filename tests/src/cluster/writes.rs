//! Writes that the API server took, from its audit log: how a test counts what a controller really did.

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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    user: User,
    object_ref: Option<Reference>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

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
                Some(Write {
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
