//! Members of a layout on the nodes of a network: each listens on its node's address, all on the same ports.

use banyan_control::layout::Addresses;

use super::Network;

/// The network as the place where a layout's members listen.
#[derive(Clone, Copy, Debug)]
pub struct Listen<'a>(pub &'a Network);

impl Listen<'_> {
    fn at(&self, member: &str, port: u16) -> String {
        match self.0.members.get(member) {
            Some(place) => format!("{}:{port}", place.address),
            // A member without a place cannot be reached; port 0 says so.
            None => "127.0.0.1:0".to_owned(),
        }
    }
}

impl Addresses for Listen<'_> {
    fn grpc(&self, member: &str) -> String {
        self.at(member, GRPC)
    }

    fn http(&self, member: &str) -> String {
        self.at(member, HTTP)
    }

    fn host(&self, member: &str) -> String {
        let place = self.0.members.get(member);
        place.map(|place| place.node.clone()).unwrap_or_default()
    }
}

/// gRPC of every member: nodes share no port space, and captures are filtered by it.
pub const GRPC: u16 = 7400;
/// HTTP of every member.
pub const HTTP: u16 = 8080;
