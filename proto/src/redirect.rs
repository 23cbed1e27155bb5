//! Standbys of the control plane tell who leads, and members go there next.
//!
//! A member keeps one address of the control plane, which any replica of it may answer. One that does not lead refuses
//! Attach with `UNAVAILABLE` and the leader's URI; the member tries that at once, and comes back to its own address
//! when the leader does not have it.

use tonic::Status;
use tonic::metadata::MetadataValue;

use crate::transport;

/// Metadata key of the leader's URI.
const LEADER: &str = "banyan-leader";

/// The answer of a standby; `None` when nobody is known to lead.
pub fn standby(leader: Option<&str>) -> Status {
    let Some(leader) = leader else {
        return Status::unavailable(
            "this replica of the control plane does not lead, and no other is known to",
        );
    };
    let mut status = Status::unavailable(format!(
        "this replica of the control plane does not lead; {leader} does"
    ));
    if let Ok(value) = MetadataValue::try_from(leader) {
        status.metadata_mut().insert(LEADER, value);
    }
    status
}

/// Whom to call for the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    home: String,
    leader: Option<String>,
}

impl Target {
    /// `home` is the address that was configured.
    pub fn new(home: impl Into<String>) -> Self {
        Self {
            home: home.into(),
            leader: None,
        }
    }

    /// The URI to call next.
    pub fn uri(&self) -> &str {
        self.leader.as_deref().unwrap_or(&self.home)
    }

    /// A call there ended. Whether to call again at once: when a standby just told another address.
    pub fn ended(&mut self, status: &Status) -> bool {
        let told = status.metadata().get(LEADER);
        let told = told.and_then(|value| value.to_str().ok());
        let told = told.filter(|uri| transport::endpoint(uri).is_ok() && *uri != self.uri());
        // A told address that tells another one may be wrong as well: by way of home, and not in a hurry.
        self.leader = match &self.leader {
            None => told.map(str::to_owned),
            Some(_) => None,
        };
        self.leader.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_goes_where_a_standby_sends_it_and_home_when_that_fails() {
        let mut target = Target::new("http://control:1");
        assert!(!target.ended(&Status::unavailable("gone")));
        assert!(!target.ended(&standby(None)));
        assert_eq!(target.uri(), "http://control:1");
        assert!(target.ended(&standby(Some("http://10.0.0.7:1"))));
        assert_eq!(target.uri(), "http://10.0.0.7:1");
        assert!(
            !target.ended(&standby(Some("http://10.0.0.8:1"))),
            "one step at a time"
        );
        assert_eq!(target.uri(), "http://control:1");
    }

    #[test]
    fn nonsense_is_not_followed() {
        let mut target = Target::new("http://control:1");
        for nonsense in ["10.0.0.7:1", "file:///etc", "", "http://control:1"] {
            assert!(!target.ended(&standby(Some(nonsense))), "{nonsense}");
            assert_eq!(target.uri(), "http://control:1");
        }
    }
}
