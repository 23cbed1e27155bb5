//! What an export says of itself inside the session, so that it can be read back after CORE saved it.

use serde::{Deserialize, Serialize};

/// Name of the session's metadata.
pub const METADATA: &str = "banyan";

/// Its value, as JSON: an attribute of XML keeps no line breaks of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    /// The whole manifest.
    pub(crate) manifest: String,
}
