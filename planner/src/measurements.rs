//! Measurements as a file (`--measurements m.json`).
//!
//! ```json
//! {
//!   "relays": [ { "name": "edge-0", "zone": "north", "host": "rack-7" } ],
//!   "links":  [ { "from": "core-0", "to": "edge-0", "rtt_us": 1800, "loss_permille": 2 } ],
//!   "demand": [ { "relay": "edge-0", "streams": ["clock"] } ]
//! }
//! ```
//! Every list may be absent. `rtt_us` is the round-trip time in microseconds; `loss_permille` is 0 to 1000, where 1000
//! means that the link is down. A link holds in both directions unless the other one is listed too.

use serde::{Deserialize, Serialize};

use crate::{Demand, Input, Link, PlanError};

/// What was measured; laid over an [`Input`] made from a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Measurements {
    /// Where relays stand.
    pub relays: Vec<MeasuredRelay>,
    /// Links.
    pub links: Vec<Link>,
    /// Which relays want which streams.
    pub demand: Vec<Demand>,
}

/// Where a relay stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredRelay {
    /// Slot name.
    pub name: String,
    /// Failure zone.
    #[serde(default)]
    pub zone: Option<String>,
    /// Machine.
    #[serde(default)]
    pub host: Option<String>,
}

impl Input {
    /// Lays measurements over this input: places, links and demand replace what they name.
    pub fn apply(&mut self, measurements: &Measurements) -> Result<(), PlanError> {
        for measured in &measurements.relays {
            let relay = self
                .relays
                .iter_mut()
                .find(|relay| relay.name == measured.name)
                .ok_or_else(|| PlanError::UnknownRelay {
                    place: "measurements".to_owned(),
                    name: measured.name.clone(),
                })?;
            if let Some(zone) = &measured.zone {
                relay.zone.clone_from(zone);
            }
            if let Some(host) = &measured.host {
                relay.host.clone_from(host);
            }
        }
        self.links.retain(|old| {
            !measurements
                .links
                .iter()
                .any(|new| new.from == old.from && new.to == old.to)
        });
        self.links.extend(measurements.links.iter().cloned());
        self.demand
            .retain(|old| !measurements.demand.iter().any(|new| new.relay == old.relay));
        self.demand.extend(measurements.demand.iter().cloned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_replaces_what_it_names_and_refuses_unknown_fields() {
        let text = r#"{"links":[{"from":"a","to":"b","rtt_us":9}],"relays":[{"name":"b","zone":"north"}]}"#;
        let measurements: Measurements = serde_json::from_str(text).unwrap();
        let relay = |name: &str, tier| crate::Relay {
            name: name.to_owned(),
            tier,
            zone: String::new(),
            host: String::new(),
            fan_out: 4,
        };
        let old = Link {
            from: "a".to_owned(),
            to: "b".to_owned(),
            rtt_us: 1,
            loss_permille: 0,
            assumed: false,
        };
        let mut input = Input {
            relays: vec![relay("a", 0), relay("b", 1)],
            links: vec![old],
            ..Input::default()
        };
        input.apply(&measurements).unwrap();
        assert_eq!((input.links.len(), input.links[0].rtt_us), (1, 9));
        assert_eq!(input.relays[1].zone, "north");

        let stranger: Measurements = serde_json::from_str(r#"{"relays":[{"name":"c"}]}"#).unwrap();
        let error = input.apply(&stranger).unwrap_err().to_string();
        assert_eq!(
            error,
            "measurements names relay \"c\", which is not listed; accepted are names in relays"
        );
        assert!(serde_json::from_str::<Measurements>(r#"{"link":[]}"#).is_err());
    }
}
