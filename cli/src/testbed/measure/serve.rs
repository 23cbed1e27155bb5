//! The receiving end: echoes, counts, judges a flow. Leaves when its peer does.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddrV4, TcpListener, UdpSocket};
use std::time::Duration;

use banyan_testbed::linkd::now;
use banyan_testbed::measure::Flow;

use super::{HEADERS, Word};

pub(super) fn run(address: SocketAddrV4) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)?;
    let port = |plus: u16| SocketAddrV4::new(*address.ip(), address.port() + plus);
    let echo = UdpSocket::bind(port(0))?;
    let counted = UdpSocket::bind(port(1))?;
    let flowing = UdpSocket::bind(port(2))?;
    counted.set_nonblocking(true)?;
    crate::commands::print("ready\n")?;
    std::thread::spawn(move || {
        let mut datagram = [0; 2_048];
        while let Ok((bytes, from)) = echo.recv_from(&mut datagram) {
            // One that cannot be sent is one that was lost.
            let _ = echo.send_to(&datagram[..bytes], from);
        }
    });
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut arrived = 0;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while let Some(Ok(line)) = lines.next() {
        let answer = match serde_json::from_str(&line)? {
            Word::Count => {
                arrived += drain(&counted)?;
                Word::Counted(arrived)
            }
            Word::Flow { rate_bps, start } => flow(&flowing, rate_bps, start)?,
            Word::Counted(_) | Word::Flowed { .. } => continue,
        };
        writeln!(stream, "{}", serde_json::to_string(&answer)?)?;
    }
    Ok(())
}

/// Datagrams that wait: what was sent before a question has arrived before it, for links keep the order.
fn drain(socket: &UdpSocket) -> anyhow::Result<u64> {
    let mut datagram = [0; 2_048];
    let mut arrived = 0;
    loop {
        match socket.recv(&mut datagram) {
            Ok(_) => arrived += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(arrived),
            Err(error) => return Err(error.into()),
        }
    }
}

fn flow(socket: &UdpSocket, rate_bps: u64, start: u64) -> anyhow::Result<Word> {
    socket.set_read_timeout(Some(SILENCE))?;
    let mut flow = Flow::new(rate_bps, start);
    let mut datagram = [0; 2_048];
    let until = now() + LONGEST.as_nanos() as u64;
    while now() < until && !flow.is_enough() {
        match socket.recv(&mut datagram) {
            Ok(bytes) => flow.arrived(now(), bytes as u64 + HEADERS),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (ahead_bytes, best_bps) = flow.summary();
    Ok(Word::Flowed {
        ahead_bytes,
        best_bps,
    })
}

/// Between two looks at the clock.
const SILENCE: Duration = Duration::from_millis(500);
/// A flow that has not shown its rate by then does not have it.
const LONGEST: Duration = Duration::from_secs(120);
