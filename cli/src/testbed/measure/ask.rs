//! The sending end: round trips, then datagrams to be counted, then a flow a third above the rate.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddrV4, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_testbed::linkd::now;
use banyan_testbed::measure::Seen;

use super::{HEADERS, Job, SMALL, Word};

pub(super) fn run(address: SocketAddrV4, job: &Job) -> anyhow::Result<Seen> {
    let mut peer = Peer::connect(address)?;
    let (rtt_min_us, round_trips) = round_trips(address, job)?;
    let (sent, arrived) = count(&mut peer, address, job)?;
    let mut seen = Seen {
        rtt_min_us,
        round_trips,
        sent,
        arrived,
        ..Seen::default()
    };
    if let Some(rate_bps) = job.rate_bps {
        let (ahead_bytes, best_bps) = flow(&mut peer, address, rate_bps)?;
        seen.ahead_bytes = ahead_bytes;
        seen.best_bps = Some(best_bps);
    }
    Ok(seen)
}

struct Peer {
    stream: TcpStream,
    read: BufReader<TcpStream>,
}

impl Peer {
    fn connect(address: SocketAddrV4) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("{address} cannot be reached"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            read: BufReader::new(stream.try_clone()?),
            stream,
        })
    }

    fn say(&mut self, word: &Word) -> anyhow::Result<()> {
        writeln!(self.stream, "{}", serde_json::to_string(word)?)?;
        Ok(())
    }

    fn hear(&mut self) -> anyhow::Result<Word> {
        let mut line = String::new();
        self.read.read_line(&mut line)?;
        serde_json::from_str(&line).context("the other end has gone")
    }
}

fn socket(address: SocketAddrV4, plus: u16) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(SocketAddrV4::new(*address.ip(), address.port() + plus))?;
    Ok(socket)
}

/// One after the other, until one was as quick as the link is and some have been tried.
fn round_trips(address: SocketAddrV4, job: &Job) -> anyhow::Result<(u64, u64)> {
    let socket = socket(address, 0)?;
    socket.set_read_timeout(Some(LOST))?;
    let until = now() + LONGEST.as_nanos() as u64;
    let (mut least, mut tried) = (u64::MAX, 0_u64);
    while now() < until && (tried < ENOUGH || least > job.rtt_enough_us) {
        tried += 1;
        let sent = now();
        let mut datagram = [0; SMALL as usize];
        datagram[..8].copy_from_slice(&tried.to_ne_bytes());
        socket.send(&datagram)?;
        let mut answer = [0; SMALL as usize];
        // Answers that come after their time are passed over.
        while socket.recv(&mut answer).is_ok() {
            if answer == datagram {
                least = least.min((now() - sent) / 1_000);
                break;
            }
        }
    }
    Ok((least, tried))
}

/// In bursts that fit everybody's queue; the question after each is answered once all of it has arrived.
fn count(peer: &mut Peer, address: SocketAddrV4, job: &Job) -> anyhow::Result<(u64, u64)> {
    let socket = socket(address, 1)?;
    let (mut sent, mut arrived) = (0, 0);
    while sent < job.datagrams {
        for _ in 0..job.burst {
            socket.send(&[0; SMALL as usize])?;
            sent += 1;
        }
        peer.say(&Word::Count)?;
        match peer.hear()? {
            Word::Counted(count) => arrived = count,
            other => bail!("the other end says {other:?}"),
        }
    }
    Ok((sent, arrived))
}

fn flow(peer: &mut Peer, address: SocketAddrV4, rate_bps: u64) -> anyhow::Result<(i64, u64)> {
    let socket = socket(address, 2)?;
    let start = now();
    peer.say(&Word::Flow { rate_bps, start })?;
    let enough = Arc::new(AtomicBool::new(false));
    let sender = std::thread::spawn({
        let enough = enough.clone();
        move || send(&socket, rate_bps, &enough)
    });
    let heard = peer.hear();
    enough.store(true, Ordering::Relaxed);
    if sender.join().is_err() {
        bail!("the sender of the flow failed");
    }
    match heard? {
        Word::Flowed {
            ahead_bytes,
            best_bps,
        } => Ok((ahead_bytes, best_bps)),
        other => bail!("the other end says {other:?}"),
    }
}

/// What the clock allows at a third above the rate; a pause is not made up for.
fn send(socket: &UdpSocket, rate_bps: u64, enough: &AtomicBool) {
    let frame = LARGE as u64 + HEADERS;
    let pace = frame * 8 * 1_000_000_000 * 3 / (rate_bps.max(1) * 4);
    let mut next = now();
    while !enough.load(Ordering::Relaxed) {
        let time = now();
        if time < next {
            std::thread::park_timeout(Duration::from_nanos(next - time));
            continue;
        }
        // A full queue of the device is a queue as well.
        let _ = socket.send(&[0; LARGE]);
        next = (next + pace).max(time.saturating_sub(PAUSE));
    }
}

/// An answer that takes longer was lost.
const LOST: Duration = Duration::from_secs(2);
/// Round trips at least.
const ENOUGH: u64 = 12;
/// A link that has not shown its delay by then has another.
const LONGEST: Duration = Duration::from_secs(120);
/// Payload of the flow's datagrams: with their headers they fit a frame of 1500 bytes.
const LARGE: usize = 1_400;
/// Nanoseconds of the flow that are caught up after a pause.
const PAUSE: u64 = 20_000_000;
