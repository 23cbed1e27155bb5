//! Who calls: the pod that the caller's token is bound to, and the member that this pod is.

use std::time::Duration;

use banyan_control::attach::{self, Admitted};
use banyan_proto::redirect;
use banyan_proto::transport::PROTOCOL;
use banyan_proto::trust::SERVICE_ACCOUNT;
use banyan_proto::v1;
use futures::future::BoxFuture;
use tonic::Status;

use super::Members;
use super::review::Reviews;
use super::state::Found;

pub(crate) struct Directory {
    pub(crate) members: Members,
    pub(crate) reviews: Reviews,
}

impl attach::Directory for Directory {
    fn admit<'a>(
        &'a self,
        hello: Option<&'a v1::Hello>,
    ) -> BoxFuture<'a, Result<Admitted, Status>> {
        Box::pin(self.find(hello))
    }
}

impl Directory {
    async fn find(&self, hello: Option<&v1::Hello>) -> Result<Admitted, Status> {
        {
            let state = self.members.state();
            if !state.is_leading() {
                return Err(redirect::standby(state.leader()));
            }
        }
        let hello = hello.ok_or_else(|| Status::unauthenticated("call began without Hello"))?;
        if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL {
            return Err(Status::failed_precondition(format!(
                "protocol {}..{} is not spoken here; {PROTOCOL} is",
                hello.protocol_min, hello.protocol_max
            )));
        }
        if hello.scheme != SERVICE_ACCOUNT {
            return Err(Status::unauthenticated(format!(
                "credential scheme {:?} is not accepted; {SERVICE_ACCOUNT:?} is",
                hello.scheme
            )));
        }
        let bearer = self.reviews.bearer(&hello.credential).await?;
        let mut changes = self.members.0.changed.subscribe();
        let mut missing = String::new();
        let found = async {
            loop {
                changes.mark_unchanged();
                let found = self.members.state().find(
                    &bearer.namespace,
                    &bearer.pod,
                    &bearer.uid,
                    &bearer.account,
                );
                match found {
                    Found::Member { name, topology } => {
                        return Ok(Admitted {
                            member: name,
                            topology,
                        });
                    }
                    Found::Nobody(why) => return Err(Status::unauthenticated(why)),
                    Found::Soon(what) => missing = what,
                }
                if changes.changed().await.is_err() {
                    return Err(Status::unavailable("the control plane is stopping"));
                }
            }
        };
        match tokio::time::timeout(SOON, found).await {
            Ok(found) => found,
            Err(_) => Err(Status::unauthenticated(missing)),
        }
    }
}

/// The watch of pods is behind the pods' own start by less than this; who waits longer is nobody, and may come again.
const SOON: Duration = Duration::from_millis(1500);
