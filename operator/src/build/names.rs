//! Names of children.

/// Everything of one tier: Deployment, ServiceAccount, budget, policy; with tier `root` also the headless Service.
pub fn tier(topology: &str, tier: &str) -> String {
    format!("{topology}-{tier}")
}

/// Everything of one content server: Deployment, ServiceAccount, policy, ConfigMap.
pub fn server(server: &str) -> String {
    format!("{server}-origin")
}

/// The Service that viewers use.
pub fn viewers(topology: &str) -> String {
    topology.to_owned()
}

/// The roots' headless Service.
pub fn roots(topology: &str) -> String {
    tier(topology, banyan_api::names::ROOT)
}

/// The ConfigMap of fallback configurations.
pub fn config(topology: &str) -> String {
    format!("{topology}-config")
}

/// The Secret that members show each other.
pub fn run_secret(topology: &str) -> String {
    format!("{topology}-run")
}

/// Key of the fallback configuration of a tier in [`config`].
pub fn config_key(tier: &str) -> String {
    format!("{tier}.json")
}

/// Key of the fallback configuration in the ConfigMap of a content server.
pub const ORIGIN_CONFIG_KEY: &str = "origin.json";
/// Key in [`run_secret`].
pub const RUN_SECRET_KEY: &str = "secret";
/// Container of relays.
pub const RELAY: &str = "relay";
/// Container of content servers.
pub const ORIGIN: &str = "origin";
