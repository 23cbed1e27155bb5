//! What a Lease object says, and back.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

/// Name of the Lease. Not the release's: releases of one scope must meet in it.
pub const NAME: &str = "banyan-operator";
/// On the Lease: namespace and name of the release that holds it, or held it last.
pub const RELEASE: &str = "banyan.media/release";
/// On the Lease: where members reach the leader.
pub const ADDRESS: &str = "banyan.media/leader-address";

/// The part of a Lease that the election is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Identity of the process that leads; `None` when it was given back.
    pub holder: Option<String>,
    /// Release of the holder, or of the last one; empty when unknown.
    pub release: String,
    /// Where members reach the holder.
    pub address: Option<String>,
    /// Number of leaderships, which is the term.
    pub transitions: i32,
    /// How long the holder may be silent.
    pub duration: Duration,
    /// Wall clock of the holder when it became leader, in microseconds since 1970; for people only.
    pub acquired: i64,
    /// Wall clock of the holder when it wrote last; for people only.
    pub renewed: i64,
    /// When the Lease was made, by the API server's clock, in seconds since 1970; set by the API server.
    pub created: i64,
}

impl From<&Lease> for Record {
    fn from(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let annotation = |key| lease.metadata.annotations.as_ref()?.get(key).cloned();
        let seconds = spec.lease_duration_seconds.unwrap_or(0);
        let micros = |time: Option<MicroTime>| time.map_or(0, |time| time.0.as_microsecond());
        Self {
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            release: annotation(RELEASE).unwrap_or_default(),
            address: annotation(ADDRESS),
            transitions: spec.lease_transitions.unwrap_or(0),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            acquired: micros(spec.acquire_time),
            renewed: micros(spec.renew_time),
            created: created(lease),
        }
    }
}

/// When a Lease was made, in seconds since 1970.
pub fn created(lease: &Lease) -> i64 {
    let time = lease.metadata.creation_timestamp.as_ref();
    time.map_or(0, |time| time.0.as_second())
}

impl Record {
    /// The Lease object that says this.
    pub fn lease(&self, namespace: &str, version: Option<&str>) -> Lease {
        let time = |micros| Timestamp::from_microsecond(micros).ok().map(MicroTime);
        let mut annotations = BTreeMap::from([(RELEASE.to_owned(), self.release.clone())]);
        annotations.extend(
            self.address
                .clone()
                .map(|address| (ADDRESS.to_owned(), address)),
        );
        Lease {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(namespace.to_owned()),
                resource_version: version.map(str::to_owned),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                // An empty holder, as client-go releases; absent would keep nobody from reading an older one.
                holder_identity: Some(self.holder.clone().unwrap_or_default()),
                lease_duration_seconds: Some(
                    i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX),
                ),
                lease_transitions: Some(self.transitions),
                acquire_time: time(self.acquired),
                renew_time: time(self.renewed),
                ..LeaseSpec::default()
            }),
        }
    }
}
