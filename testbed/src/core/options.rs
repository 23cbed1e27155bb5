//! A link's parameters in CORE's units.

use crate::model::Parameters;

/// As `LinkOptions` and `<options>` have them; 0 means none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// bit/s.
    pub bandwidth: u64,
    /// Microseconds, one way; CORE applies it at each end's egress, so once a way.
    pub delay: u64,
    /// Microseconds.
    pub jitter: u64,
    /// Percent, with at most three decimals.
    pub loss: String,
    /// Packets, also of what the delay holds: netem's limit counts those too.
    pub buffer: u64,
}

impl Options {
    /// Of a link.
    pub fn of(parameters: &Parameters) -> Self {
        let loss = parameters.loss_per_100k;
        let fraction = format!("{:03}", loss % 1000);
        let loss = match fraction.trim_end_matches('0') {
            "" => format!("{}", loss / 1000),
            some => format!("{}.{some}", loss / 1000),
        };
        Self {
            bandwidth: parameters.rate_bps.unwrap_or(0),
            delay: parameters.delay_us,
            jitter: parameters.jitter_us,
            loss,
            buffer: parameters.buffer_bytes.div_ceil(PACKET).max(1),
        }
    }

    /// Whether nothing but the queue is set: such a link gets no options, and needs no netem.
    pub fn are_plain(&self) -> bool {
        self.bandwidth == 0 && self.delay == 0 && self.jitter == 0 && self.loss == "0"
    }
}

/// Packets are taken for full ones.
const PACKET: u64 = 1500;
