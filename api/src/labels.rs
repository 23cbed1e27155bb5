//! Label keys and values on every object the project makes.

/// Recommended label: the product.
pub const NAME: &str = "app.kubernetes.io/name";
/// Recommended label: the root object's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Recommended label: the version that built the object.
pub const VERSION: &str = "app.kubernetes.io/version";
/// Recommended label: `origin`, `root`, `relay` or `edge`.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Recommended label: the topology the object belongs to.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Recommended label: who manages the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Selector label: the StreamTopology.
pub const TOPOLOGY: &str = "banyan.media/topology";
/// Selector label: the tier.
pub const TIER: &str = "banyan.media/tier";
/// Selector label: the ContentServer.
pub const CONTENT_SERVER: &str = "banyan.media/content-server";

/// Value of [`NAME`].
pub const NAME_VALUE: &str = "banyan";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "banyan-operator";
