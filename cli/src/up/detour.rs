//! Ways around: for experiments, members can be told to reach each other through addresses other
//! than the listeners', one per pair. The file says `{"edge-0": {"hall-1": "127.0.0.1:40001"}}`:
//! who dials, whom, and where; under `"*"` stands what a member names as its own endpoint.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use banyan_control::layout::Addresses;

use super::ports::Places;

/// Who dials → whom → `host:port`.
pub(crate) type Ways = BTreeMap<String, BTreeMap<String, String>>;

/// Reads the file of `--detour`.
pub(super) fn read(path: &Path) -> anyhow::Result<Ways> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path:?}"))?;
    serde_json::from_str(&text).with_context(|| {
        format!("{path:?} is no list of detours; {{\"edge-0\": {{\"hall-1\": \"host:port\"}}}} is accepted")
    })
}

/// Places with ways around.
pub(super) struct Detoured<'a> {
    pub(super) places: &'a Places,
    pub(super) ways: Ways,
}

impl Detoured<'_> {
    fn way(&self, from: &str, to: &str) -> Option<String> {
        let way = self.ways.get(from)?.get(to)?;
        Some(format!("http://{way}"))
    }
}

impl Addresses for Detoured<'_> {
    fn grpc(&self, member: &str) -> String {
        self.places.grpc(member)
    }

    fn http(&self, member: &str) -> String {
        self.places.http(member)
    }

    fn advertised(&self, member: &str) -> String {
        self.way(ANYBODY, member)
            .unwrap_or_else(|| self.places.advertised(member))
    }

    fn dialled(&self, from: &str, to: &str) -> String {
        self.way(from, to).unwrap_or_else(|| self.advertised(to))
    }
}

/// Stands for whoever has no way of its own.
pub(crate) const ANYBODY: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::ports::Claim;

    #[test]
    fn a_way_of_ones_own_comes_before_everybodys_and_that_before_the_listener() {
        let claim = Claim::search(3, 30500..32000).unwrap();
        let places = claim.places(["lisbon", "root-0", "hall-0"]);
        let way = |to: &str, at: &str| BTreeMap::from([(to.to_owned(), at.to_owned())]);
        let ways = Ways::from([
            ("hall-0".to_owned(), way("root-0", "127.0.0.1:7")),
            (ANYBODY.to_owned(), way("lisbon", "127.0.0.1:8")),
        ]);
        let detoured = Detoured {
            places: &places,
            ways,
        };
        assert_eq!(detoured.dialled("hall-0", "root-0"), "http://127.0.0.1:7");
        assert_eq!(detoured.dialled("root-0", "lisbon"), "http://127.0.0.1:8");
        let listener = format!("http://{}", places.grpc("hall-0"));
        assert_eq!(detoured.dialled("root-0", "hall-0"), listener);
        assert_eq!(detoured.grpc("lisbon"), places.grpc("lisbon"));
    }
}
