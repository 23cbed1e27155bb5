//! What was drawn, before anybody says what it means.

use std::net::IpAddr;

/// Nodes and links as the file has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    /// Name of the scenario, where the file has one.
    pub name: Option<String>,
    /// In the order of the file.
    pub nodes: Vec<DrawnNode>,
    /// In the order of the file.
    pub links: Vec<DrawnLink>,
    /// Labelled rectangles: label, left, top, right, bottom.
    pub regions: Vec<(String, [f64; 4])>,
    /// Metadata of the session: name, value.
    pub metadata: Vec<(String, String)>,
    /// What the reader could not make anything of, one sentence each.
    pub unmapped: Vec<String>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnNode {
    /// As links refer to it.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// Kind and model in one word, lower case: `router`, `host`, `pc`, `switch`, `hub`, …
    pub model: String,
    /// From the left, from the top.
    pub position: Option<(f64, f64)>,
    /// Services it runs.
    pub services: Vec<String>,
    /// All its addresses.
    pub addresses: Vec<IpAddr>,
}

/// One link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DrawnLink {
    /// Identifiers of its nodes.
    pub ends: (String, String),
    /// bit/s; 0 = not limited.
    pub bandwidth_bps: u64,
    /// Microseconds.
    pub delay_us: u64,
    /// Microseconds.
    pub jitter_us: u64,
    /// Packets of a hundred thousand.
    pub loss_per_100k: u32,
    /// Packets; 0 = none given.
    pub buffer_packets: u64,
}

impl Drawing {
    /// The value of a piece of metadata.
    pub fn metadata(&self, name: &str) -> Option<&str> {
        let mut all = self.metadata.iter();
        let found = all.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The region that a point lies in: the smallest rectangle around it.
    pub(super) fn region(&self, position: Option<(f64, f64)>) -> Option<&str> {
        let (x, y) = position?;
        let inside = |[left, top, right, bottom]: &[f64; 4]| {
            *left <= x && x <= *right && *top <= y && y <= *bottom
        };
        let around = self.regions.iter().filter(|(_, area)| inside(area));
        let size = |[left, top, right, bottom]: &[f64; 4]| (right - left) * (bottom - top);
        let smallest = around.min_by(|(_, one), (_, other)| size(one).total_cmp(&size(other)));
        smallest.map(|(label, _)| label.as_str())
    }
}

impl DrawnLink {
    /// Sets what CORE writes as a number with or without a fraction; says when it is none.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let value = value.trim();
        let number: f64 = match value {
            "" => 0.0,
            text => text
                .parse()
                .ok()
                .filter(|n: &f64| n.is_finite() && *n >= 0.0)
                .ok_or_else(|| format!("{key} {value:?} is no number"))?,
        };
        let whole = number.min(MOST).round() as u64;
        match key {
            "bandwidth" => self.bandwidth_bps = whole,
            "delay" => self.delay_us = whole,
            "jitter" => self.jitter_us = whole,
            // `ber` is what .imn files call packets lost in percent, `per` what early .xml files do.
            "loss" | "ber" | "per" => {
                self.loss_per_100k = (number.min(100.0) * 1000.0).round() as u32;
            }
            "buffer" => self.buffer_packets = whole,
            "dup" | "duplicate" if number == 0.0 => {}
            "dup" | "duplicate" => {
                return Err(format!(
                    "{key} {value}: a link of an underlay repeats no packets"
                ));
            }
            _ => return Err(format!("{key} {value:?} is not known")),
        }
        Ok(())
    }
}

/// Larger numbers are not exact, and no link has them.
const MOST: f64 = 9e15;
