//! What a content server means, or why not.

use banyan_api::validate::Refusal;
use banyan_api::{StreamTopology, model, validate};

use super::Found;

/// A content server that can be built.
pub(super) struct Valid<'a> {
    pub(super) model: model::Server,
    pub(super) topology: &'a StreamTopology,
}

/// Checks a content server against itself and its topology.
pub(super) fn check<'a>(found: &'a Found<'_>) -> Result<Valid<'a>, Vec<Refusal>> {
    let between = validate::between(found.object, found.topology.as_ref());
    match (validate::server(found.object), &found.topology) {
        (Ok(model), Some(topology)) if between.is_empty() => Ok(Valid { model, topology }),
        (Ok(_), _) => Err(between),
        (Err(refusals), _) => Err(refusals.into_iter().chain(between).collect()),
    }
}
