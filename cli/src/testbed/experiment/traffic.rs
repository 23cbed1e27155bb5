//! Cross traffic: datagrams at a constant rate to a port where nobody listens.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::net::UdpSocket;

/// Sends until it is ended.
pub(in crate::testbed) async fn run(to: SocketAddr, rate_bps: u64) -> anyhow::Result<ExitCode> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))
        .await
        .context("cannot send datagrams")?;
    let gap = Duration::from_nanos(gap_ns(rate_bps));
    let payload = [0; PAYLOAD];
    let mut tick = tokio::time::interval(gap);
    loop {
        tick.tick().await;
        // A full queue, a link that is down or a refusal are what such traffic meets.
        let _ = socket.send_to(&payload, to).await;
    }
}

fn gap_ns(rate_bps: u64) -> u64 {
    let bits = (PAYLOAD as u64 + HEADERS) * 8;
    (bits * 1_000_000_000 / rate_bps.max(1)).max(1)
}

/// Port of discard (RFC 863).
pub(super) const PORT: u16 = 9;
/// Fits every link that IPv6 accepts.
const PAYLOAD: usize = 1_200;
/// IPv4 and UDP.
const HEADERS: u64 = 28;

#[cfg(test)]
mod tests {
    use super::gap_ns;

    #[test]
    fn the_rate_is_of_whole_packets() {
        assert_eq!(gap_ns(9_824_000), 1_000_000);
        assert_eq!(gap_ns(0), 9_824_000_000_000);
    }
}
