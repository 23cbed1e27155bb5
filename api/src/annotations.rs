//! Annotation keys.

/// On a Pod: the member drains; who may write it decides who may drain.
pub const DRAIN: &str = "banyan.media/drain";
/// On a Pod: the slot its member has.
pub const SLOT: &str = "banyan.media/slot";
/// On a pod template: hash of what it was built from.
pub const TEMPLATE_HASH: &str = "banyan.media/template-hash";
/// Kubernetes' own: which pods of a ReplicaSet go first.
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// On every child: hash of what was applied last.
pub const APPLIED_HASH: &str = "banyan.media/applied-hash";
