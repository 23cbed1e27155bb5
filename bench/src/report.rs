//! Medians, ratios and how they are printed.

use serde_json::json;

/// Rounds of every benchmark; the median of seven is what counts.
pub const ROUNDS: usize = 7;

/// What was measured, one value per round.
pub struct Series {
    /// What.
    pub name: String,
    /// CPU seconds per GB (10^9 bytes), or another unit that the caller names.
    pub values: Vec<f64>,
}

impl Series {
    /// An empty series.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            values: Vec::new(),
        }
    }

    /// Adds a round and prints it as a JSON line.
    pub fn push(&mut self, unit: &str, value: f64) {
        println!(
            "{}",
            json!({ "bench": self.name, "round": self.values.len(), "unit": unit, "value": value })
        );
        self.values.push(value);
    }

    /// The middle value.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Prints `ours` over `limit` against a bar.
pub fn ratio(ours: &Series, limit: &Series, bar: f64) {
    let ratio = ours.median() / limit.median();
    println!(
        "{}",
        json!({
            "ratio": format!("{} / {}", ours.name, limit.name),
            "ours": ours.median(),
            "limit": limit.median(),
            "value": (ratio * 100.0).round() / 100.0,
            "bar": bar,
            "holds": ratio <= bar,
        })
    );
}
