//! Ports of a run: blocks of a hundred below the ephemeral range, claimed for as long as it lives.
//!
//! The claim on a block is a socket bound to its last port, so it ends with the process however
//! that ends. Everything else is test-bound before the members are told to use it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use banyan_api::names;
use banyan_control::layout::Addresses;

/// The blocks of one run.
#[derive(Debug)]
pub(crate) struct Claim {
    blocks: Vec<u16>,
    _held: Vec<TcpListener>,
}

/// Why there are no ports.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("port {port} is in use on {HOST}; choose another base with --port, or leave it out")]
    Busy { port: u16 },
    #[error("no {blocks} free blocks of {BLOCK} ports are left from {from} to {to} on {HOST}")]
    NoneFree { blocks: u16, from: u16, to: u16 },
}

impl Claim {
    /// The first free run of blocks for so many members beside control.
    pub(crate) fn search(members: usize, bases: Range<u16>) -> Result<Self, Error> {
        let blocks = blocks_for(members);
        let last = bases.end.saturating_sub(blocks * BLOCK);
        let mut base = bases.start;
        while base <= last {
            match Self::at(base, members) {
                Ok(claim) => return Ok(claim),
                Err(_) => base += BLOCK,
            }
        }
        Err(Error::NoneFree {
            blocks,
            from: bases.start,
            to: bases.end,
        })
    }

    /// Exactly here.
    pub(crate) fn at(base: u16, members: usize) -> Result<Self, Error> {
        let blocks: Vec<u16> = (0..blocks_for(members)).map(|n| base + n * BLOCK).collect();
        let mut held = Vec::new();
        for block in &blocks {
            held.push(bind(block + CLAIM)?);
        }
        let claim = Self {
            blocks,
            _held: held,
        };
        for port in claim.used(members) {
            bind(port)?;
        }
        Ok(claim)
    }

    fn used(&self, members: usize) -> impl Iterator<Item = u16> {
        let base = self.blocks[0];
        let pairs = (0..members).map(|index| self.pair(index));
        [base, base + 1]
            .into_iter()
            .chain(pairs.flat_map(|(grpc, http)| [grpc, http]))
    }

    fn pair(&self, index: usize) -> (u16, u16) {
        let block = self.blocks[(index / PAIRS).min(self.blocks.len() - 1)];
        let grpc = block + FIRST + 2 * (index % PAIRS) as u16;
        (grpc, grpc + 1)
    }

    /// Gives every member its pair, in order.
    pub(crate) fn places<'a>(&self, members: impl IntoIterator<Item = &'a str>) -> Places {
        let base = self.blocks[0];
        let mut ports = BTreeMap::from([(names::CONTROL.to_owned(), (base + 1, base))]);
        for (index, member) in members.into_iter().enumerate() {
            ports.insert(member.to_owned(), self.pair(index));
        }
        Places(ports)
    }
}

/// gRPC and HTTP port of every member.
pub(crate) struct Places(BTreeMap<String, (u16, u16)>);

impl Places {
    fn address(&self, member: &str, port: impl Fn(&(u16, u16)) -> u16) -> String {
        // A member without a place cannot be reached; port 0 says so.
        let port = self.0.get(member).map_or(0, port);
        format!("{HOST}:{port}")
    }
}

impl Addresses for Places {
    fn grpc(&self, member: &str) -> String {
        self.address(member, |(grpc, _)| *grpc)
    }

    fn http(&self, member: &str) -> String {
        self.address(member, |(_, http)| *http)
    }
}

fn blocks_for(members: usize) -> u16 {
    members.div_ceil(PAIRS).max(1) as u16
}

fn bind(port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind(SocketAddr::from((HOST, port))).map_err(|_| Error::Busy { port })
}

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Bases are tried in order; 32768 is where Linux begins to hand out ports by itself.
pub(crate) const BASES: Range<u16> = 18000..32700;
const BLOCK: u16 = 100;
/// Offset of the claim in its block.
pub(crate) const CLAIM: u16 = 99;
/// Offset of the first member; below it are control's two.
const FIRST: u16 = 10;
/// Members in a block.
const PAIRS: usize = ((CLAIM - FIRST) / 2) as usize;
/// The highest base that leaves room for a block.
pub(crate) const HIGHEST: u16 = u16::MAX - BLOCK;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_takes_the_block_beside_the_first() {
        let bases = 25000..27000;
        let first = Claim::search(4, bases.clone()).unwrap();
        let second = Claim::search(4, bases.clone()).unwrap();
        assert!(second.blocks[0] > first.blocks[0], "{first:?} {second:?}");
        let base = first.blocks[0];
        drop(first);
        let third = Claim::search(4, bases).unwrap();
        assert_eq!(third.blocks[0], base, "a block is free again after its run");
    }

    #[test]
    fn a_port_in_use_moves_a_searching_run_and_stops_an_explicit_one() {
        let probe = Claim::search(2, 27000..29000).unwrap();
        let base = probe.blocks[0];
        drop(probe);
        let squatter = bind(base + FIRST + 3).unwrap();
        let error = Claim::at(base, 2).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "port {} is in use on 127.0.0.1; choose another base with --port, or leave it out",
                base + FIRST + 3
            )
        );
        Claim::at(base, 1).unwrap();
        assert!(Claim::search(2, base..29000).unwrap().blocks[0] > base);
        drop(squatter);
    }

    #[test]
    fn many_members_take_consecutive_blocks_and_no_port_twice() {
        let claim = Claim::search(100, 29000..32000).unwrap();
        assert_eq!(claim.blocks.len(), 3);
        assert_eq!(claim.blocks[2], claim.blocks[0] + 200);
        let mut ports: Vec<u16> = claim.used(100).collect();
        ports.extend(claim.blocks.iter().map(|block| block + CLAIM));
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!((ports.len(), all), (205, 205));
    }

    #[test]
    fn too_many_members_for_what_is_free_is_said() {
        let error = Claim::search(500, 18000..18300).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no 12 free blocks of 100 ports are left from 18000 to 18300 on 127.0.0.1"
        );
    }
}
