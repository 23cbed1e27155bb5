//! The text of an imported manifest, laid out for people to edit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::drawing::DrawnLink;

/// A tier as the manifest writes it.
pub(super) struct Tier {
    pub(super) name: String,
    pub(super) replicas: usize,
}

/// Everything above neighbours and underlay. The first tier is the root's, the last the edges'.
pub(super) fn head(topology: &str, tiers: &[Tier]) -> String {
    let below = |at: usize| tiers.get(at + 1).map_or(1, |tier| tier.replicas);
    let root = tiers.first().map_or(0, |tier| tier.replicas).max(1);
    let mut out = format!(
        "apiVersion: banyan.media/v1alpha1\nkind: StreamTopology\nmetadata:\n  name: {topology}\nspec:\n  rendezvous:\n    replicas: {root}\n    fanOut: {}\n",
        fan_out(below(0))
    );
    let last = tiers.len().saturating_sub(1);
    let interior = tiers.iter().enumerate().take(last).skip(1);
    for (at, tier) in interior {
        if at == 1 {
            out += "  relays:\n";
        }
        line(&mut out, &format!("    - name: {}", tier.name));
        line(&mut out, &format!("      replicas: {}", tier.replicas));
        line(&mut out, &format!("      fanOut: {}", fan_out(below(at))));
    }
    let edges = tiers.last().map_or(0, |tier| tier.replicas);
    line(&mut out, &format!("  edge:\n    replicas: {edges}"));
    out
}

/// Enough for one member to feed the whole tier below.
fn fan_out(below: usize) -> usize {
    below.max(4)
}

pub(super) fn neighbors(all: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let mut out = String::new();
    if !all.is_empty() {
        out += "  overlay:\n    strategy: Neighbors\n    neighbors:\n";
    }
    for (member, peers) in all {
        let peers: Vec<&str> = peers.iter().copied().collect();
        line(
            &mut out,
            &format!(
                "      - {{member: {member}, peers: [{}]}}",
                peers.join(", ")
            ),
        );
    }
    out
}

pub(super) fn node(
    name: &str,
    kind: &str,
    place: Option<(u32, u32)>,
    region: Option<&str>,
    member: Option<&str>,
    watches: &[&str],
) -> String {
    let mut text = format!("      - {{name: {}, kind: {kind}", quoted(name));
    if let Some((x, y)) = place {
        text += &format!(", position: {{x: {x}, \"y\": {y}}}");
    }
    if let Some(region) = region {
        let short: String = region.chars().take(63).collect();
        text += &format!(", region: {}", quoted(&short));
    }
    if let Some(member) = member {
        text += &format!(", member: {}", quoted(member));
    }
    if !watches.is_empty() {
        text += &format!(", watches: [{}]", watches.join(", "));
    }
    text + "}\n"
}

/// A link, and what of it cannot be written.
pub(super) fn link(one: &str, other: &str, link: &DrawnLink) -> (String, Vec<String>) {
    let mut lost = Vec::new();
    let mut text = format!("      - {{ends: [{}, {}]", quoted(one), quoted(other));
    if link.bandwidth_bps > 0 {
        let (rate, exact) = rate(link.bandwidth_bps);
        text += &format!(", bandwidth: {rate}");
        if !exact {
            lost.push(format!(
                "link {one}-{other}: {} bit/s become {rate}",
                link.bandwidth_bps
            ));
        }
    }
    let mut jitter = link.jitter_us;
    if jitter > link.delay_us {
        lost.push(format!(
            "link {one}-{other}: jitter {jitter} us above its delay {} us becomes the delay",
            link.delay_us
        ));
        jitter = link.delay_us;
    }
    for (key, micros) in [("delay", link.delay_us), ("jitter", jitter)] {
        if micros > 0 {
            let (delay, exact) = delay(micros);
            text += &format!(", {key}: {delay}");
            if !exact {
                lost.push(format!(
                    "link {one}-{other}: {key} {micros} us becomes {delay}"
                ));
            }
        }
    }
    if link.loss_per_100k > 0 {
        let (whole, rest) = (link.loss_per_100k / 1000, link.loss_per_100k % 1000);
        let fraction = format!("{rest:03}");
        let text_of = match fraction.trim_end_matches('0') {
            "" => format!("{whole}%"),
            some => format!("{whole}.{some}%"),
        };
        text += &format!(", loss: {text_of}");
    }
    if link.buffer_packets > 0 {
        let bytes = link
            .buffer_packets
            .saturating_mul(PACKET)
            .clamp(2 * PACKET, 999_999_999_999);
        text += &format!(", buffer: \"{bytes}\"");
    }
    (text + "}\n", lost)
}

pub(super) fn server(name: &str, topology: &str, stream: &str) -> String {
    format!(
        "---\napiVersion: banyan.media/v1alpha1\nkind: ContentServer\nmetadata:\n  name: {}\nspec:\n  topology: {}\n  contents:\n    - name: {stream}\n      source:\n        test:\n          pattern: bars\n          duration: 12s\n",
        quoted(name),
        quoted(topology)
    )
}

/// `800k`, `10M`; whether it is exactly that.
fn rate(bps: u64) -> (String, bool) {
    for (unit, size) in [
        ("G", 1_000_000_000),
        ("M", 1_000_000),
        ("k", 1_000),
        ("", 1),
    ] {
        if bps.is_multiple_of(size) && bps / size < 10_000_000_000 {
            return (format!("{}{unit}", bps / size), true);
        }
    }
    ("1000G".to_owned(), false)
}

/// `250us`, `12ms`; whether it is exactly that.
fn delay(micros: u64) -> (String, bool) {
    let fits = |number: u64| number <= 999_999;
    match micros {
        60_000_001.. => ("60s".to_owned(), false),
        us if us.is_multiple_of(1000) && fits(us / 1000) => (format!("{}ms", us / 1000), true),
        us if fits(us) => (format!("{us}us"), true),
        us => (format!("{}ms", us / 1000), false),
    }
}

/// Text that YAML could take for something else is quoted.
fn quoted(text: &str) -> String {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let word = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let special = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    match plain && word && !special.contains(&text) {
        true => text.to_owned(),
        // JSON's texts are YAML's.
        false => serde_json::to_string(text).unwrap_or_default(),
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// What CORE's buffers count.
const PACKET: u64 = 1500;
