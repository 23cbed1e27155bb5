//! Volumes of members and where they are mounted. Their names carry a prefix, because a sidecar shares the user's pod.

use banyan_api::content_server::Cache;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource,
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Volume of fallback configurations.
pub(super) const CONFIG: &str = "banyan-config";
/// Volume of the token that Attach shows.
pub(super) const TOKEN: &str = "banyan-token";
/// Volume of prepared assets.
pub(super) const CACHE: &str = "banyan-cache";
/// Volume of scratch files.
pub(super) const TMP: &str = "banyan-tmp";
/// Volume of media files, where it is ours to name.
pub(super) const MEDIA: &str = "banyan-media";

pub(super) const CONFIG_PATH: &str = "/etc/banyan/config";
pub(super) const TOKEN_PATH: &str = "/var/run/secrets/banyan.media";
pub(super) const CACHE_PATH: &str = "/var/cache/banyan";
pub(super) const TMP_PATH: &str = "/tmp";
pub(super) const MEDIA_PATH: &str = "/media";

/// Whom the token is for.
const AUDIENCE: &str = "banyan.media";
/// The kubelet renews it after four fifths.
const TOKEN_SECONDS: i64 = 3600;
/// Of an emptyDir cache when the user gives no size.
const DEFAULT_CACHE: &str = "20Gi";
/// Of scratch files: encoders' logs, little else.
const TMP_SIZE: &str = "256Mi";

pub(super) fn config(config_map: String) -> Volume {
    Volume {
        name: CONFIG.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map,
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn token() -> Volume {
    Volume {
        name: TOKEN.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(ServiceAccountTokenProjection {
                    audience: Some(AUDIENCE.to_owned()),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: "token".to_owned(),
                }),
                ..VolumeProjection::default()
            }]),
            default_mode: None,
        }),
        ..Volume::default()
    }
}

/// An emptyDir of a size, or the claim the user names.
pub(super) fn cache(wanted: Option<&Cache>) -> Volume {
    let claim = wanted.and_then(|cache| cache.persistent_volume_claim.as_ref());
    match claim {
        Some(claim) => claimed(CACHE, claim, false),
        None => {
            let size = wanted.and_then(|cache| cache.size.as_ref());
            empty(CACHE, Some(size.map_or(DEFAULT_CACHE, |size| &size.0)))
        }
    }
}

/// The claim with media files, or an empty folder.
pub(super) fn media(claim: Option<&str>) -> Volume {
    match claim {
        Some(claim) => claimed(MEDIA, claim, true),
        None => empty(MEDIA, Some(TMP_SIZE)),
    }
}

pub(super) fn tmp() -> Volume {
    empty(TMP, Some(TMP_SIZE))
}

fn empty(name: &str, size: Option<&str>) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: None,
            size_limit: size.map(|size| Quantity(size.to_owned())),
        }),
        ..Volume::default()
    }
}

fn claimed(name: &str, claim: &str, read_only: bool) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: read_only.then_some(true),
        }),
        ..Volume::default()
    }
}

/// Mounts a volume.
pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
