//! What neither schema nor CEL can check: references inside an object, references between objects, and what the
//! checked objects mean.

mod across;
mod object;
mod pods;
mod resolve;
mod topology;
mod unsupported;

use crate::content_server::ContentServer;
use crate::manifest::structure::Finding;

pub use object::{Refusal, between, server, topology};

pub(crate) use across::across;
pub(crate) use resolve::resolve;
pub(crate) use topology::stream_topology;

/// Where manifests are carried out; some fields mean something in one place only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Processes of one machine.
    Local,
    /// Pods of a cluster.
    Cluster,
}

/// Namespace of objects that name none.
const DEFAULT_NAMESPACE: &str = "default";

/// The namespace an object lives in.
fn namespace(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
}

/// Checks one content server by itself.
pub(crate) fn content_server(server: &ContentServer) -> Vec<Finding> {
    let contents = server.spec.contents.iter().enumerate();
    let odd_paths = contents.filter_map(|(index, content)| {
        let path = &content.source.file.as_ref()?.path;
        let at = format!("spec.contents[{index}].source.file.path");
        let shown = crate::manifest::structure::shortened(path);
        let odd = path.chars().any(char::is_control);
        odd.then(|| {
            Finding::new(
                at,
                format!("is \"{shown}\"; accepted is a path without control characters"),
            )
        })
    });
    odd_paths.chain(pods::of_server(&server.spec)).collect()
}
