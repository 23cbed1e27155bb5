//! What a topology and its servers mean, or why not.

use banyan_api::validate::Refusal;
use banyan_api::{model, validate};

use super::Found;

/// A topology that can be built.
pub(super) struct Valid {
    pub(super) model: model::Topology,
    /// Servers that can be used; the others say themselves why not.
    pub(super) servers: Vec<model::Server>,
}

/// Checks a topology.
pub(super) fn check(found: &Found<'_>) -> Result<Valid, Vec<Refusal>> {
    let model = validate::topology(found.object)?;
    let usable = found
        .servers
        .iter()
        .filter(|server| validate::between(server, Some(found.object)).is_empty());
    Ok(Valid {
        model,
        servers: usable
            .filter_map(|server| validate::server(server).ok())
            .collect(),
    })
}
