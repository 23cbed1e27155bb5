//! Names: which ones are accepted, which are reserved, and how a member's slot name is built.

/// Longest name of a ContentServer or StreamTopology.
pub const MAX_OBJECT_NAME: usize = 40;
/// Longest name of an interior tier.
pub const MAX_TIER_NAME: usize = 20;
/// Longest name of a content, which is also the stream's name.
pub const MAX_CONTENT_NAME: usize = 50;
/// Longest name of a rendition.
pub const MAX_RENDITION_NAME: usize = 20;

/// Tier name of the roots (the rendezvous members).
pub const ROOT: &str = "root";
/// Tier name of the edges.
pub const EDGE: &str = "edge";
/// Member name of the control plane.
pub const CONTROL: &str = "control";

/// Stream names that would hide an edge's own paths.
pub const RESERVED_STREAMS: [&str; 5] = ["api", "healthz", "readyz", "metrics", "assets"];
/// Tier names that mean something else.
pub const RESERVED_TIERS: [&str; 4] = [ROOT, EDGE, CONTROL, "origin"];
/// Track names a rendition may not take: the audio track has this name.
pub const RESERVED_RENDITIONS: [&str; 2] = ["audio", "text"];

/// The stable name of member `index` of a tier: `<tier>-<n>`.
pub fn slot(tier: &str, index: u32) -> String {
    format!("{tier}-{index}")
}

/// Splits a slot name into tier and index; `None` when it is not one.
///
/// Only the form [`slot`] writes is accepted, so `edge-01` is not a slot.
pub fn parse_slot(name: &str) -> Option<(&str, u32)> {
    let (tier, index) = name.rsplit_once('-')?;
    let number: u32 = index.parse().ok()?;
    (is_dns_label(tier) && number.to_string() == index).then_some((tier, number))
}

/// Lower-case letters, digits and inner dashes, 1 to 63 characters.
pub fn is_dns_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| inner(*b) || *b == b'-')
        && bytes.first().is_some_and(|b| inner(*b))
        && bytes.last().is_some_and(|b| inner(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_round_trip_and_nothing_else_is_a_slot() {
        assert_eq!(parse_slot(&slot("edge", 12)), Some(("edge", 12)));
        assert_eq!(parse_slot("far-core-0"), Some(("far-core", 0)));
        for not_a_slot in [
            "edge",
            "edge-",
            "edge-01",
            "-1",
            "edge--1x",
            "Edge-1",
            "edge-4294967296",
            "",
        ] {
            assert_eq!(parse_slot(not_a_slot), None, "{not_a_slot}");
        }
    }

    #[test]
    fn dns_labels_are_lower_case_letters_digits_and_inner_dashes() {
        for good in ["a", "0", "a-b", "talk-2026"] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad}");
        }
    }
}
