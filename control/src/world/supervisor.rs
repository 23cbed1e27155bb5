//! Keeps the members of a layout running in any world: starts them, notices ends, starts them again
//! by the restart policy, stops them.

use std::time::Duration;

use tokio::time::Instant;

use super::restarts::{Policy, Restarts};
use super::{Ended, Exit, World};
use crate::layout::{Layout, Member};

/// The members of one layout in one world.
pub struct Supervisor<W> {
    world: W,
    layout: Layout,
    restarts: Restarts,
    began: Instant,
}

/// What happened to a member.
#[derive(Debug)]
pub enum Notice<E> {
    /// It ended by itself.
    Ended {
        /// Which.
        member: String,
        /// How.
        exit: Exit,
        /// When it starts again, if it does.
        restart_in: Option<Duration>,
    },
    /// It runs again.
    Restarted {
        /// Which.
        member: String,
    },
    /// It could not be started again.
    Failed {
        /// Which.
        member: String,
        /// Why.
        error: E,
        /// When the next attempt is due, if there is one.
        restart_in: Option<Duration>,
    },
}

impl<W: World> Supervisor<W> {
    /// Nothing runs yet.
    pub fn new(world: W, layout: Layout, policy: Policy) -> Self {
        Self {
            world,
            layout,
            restarts: Restarts::new(policy),
            began: Instant::now(),
        }
    }

    /// A member that ends rests this long before its first return.
    pub fn restart_after(&mut self, rest: Duration) {
        self.restarts.first = rest;
    }

    /// Starts every member; ends at the first that cannot be started.
    pub async fn start(&mut self) -> Result<(), W::Error> {
        for member in &self.layout.members {
            self.world.start(member).await?;
            self.restarts
                .handle_started(&member.name, self.began.elapsed());
        }
        Ok(())
    }

    /// A member that ended is not started again.
    pub fn rest(&mut self, member: &str) {
        self.restarts.forget(member);
    }

    /// The next thing that happens to a member. Cancel-safe as long as the world starts members
    /// without waiting.
    pub async fn next(&mut self) -> Notice<W::Error> {
        loop {
            if let Some(member) = self.due() {
                return self.restart(member).await;
            }
            let due = self.restarts.next_due().map(|due| self.began + due);
            tokio::select! {
                ended = self.world.observe() => return self.ended(ended),
                () = wait_until(due) => {}
            }
        }
    }

    /// Stops every member, those that do not leave within `grace` by force.
    pub async fn stop(&mut self, grace: Duration) -> Vec<Ended> {
        let members = self.layout.members.iter();
        let names: Vec<_> = members.map(|member| member.name.clone()).collect();
        self.world.stop(&names, grace).await
    }

    fn due(&mut self) -> Option<Member> {
        let name = self.restarts.poll_due(self.began.elapsed())?;
        let mut members = self.layout.members.iter();
        members.find(|member| member.name == name).cloned()
    }

    async fn restart(&mut self, member: Member) -> Notice<W::Error> {
        let now = self.began.elapsed();
        match self.world.start(&member).await {
            Ok(()) => {
                self.restarts.handle_started(&member.name, now);
                Notice::Restarted {
                    member: member.name,
                }
            }
            Err(error) => Notice::Failed {
                restart_in: self.restarts.handle_ended(&member.name, now),
                member: member.name,
                error,
            },
        }
    }

    fn ended(&mut self, ended: Ended) -> Notice<W::Error> {
        let restart_in = self
            .restarts
            .handle_ended(&ended.member, self.began.elapsed());
        Notice::Ended {
            member: ended.member,
            exit: ended.exit,
            restart_in,
        }
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use super::*;
    use crate::layout::Program;
    use crate::roster::Role;

    /// Members end one second after each start, in order; `broken` ones cannot be started twice.
    #[derive(Default)]
    struct Fleeting {
        starts: Vec<String>,
        running: VecDeque<(Instant, String)>,
        broken: Option<&'static str>,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no room")]
    struct NoRoom;

    impl World for Fleeting {
        type Error = NoRoom;

        async fn start(&mut self, member: &Member) -> Result<(), NoRoom> {
            if self.broken == Some(&member.name) && self.starts.contains(&member.name) {
                return Err(NoRoom);
            }
            self.starts.push(member.name.clone());
            let end = Instant::now() + Duration::from_secs(1);
            self.running.push_back((end, member.name.clone()));
            Ok(())
        }

        async fn stop(&mut self, members: &[String], _: Duration) -> Vec<Ended> {
            let ended = |(_, member)| Ended {
                member,
                exit: Exit::Code(0),
            };
            let running = self.running.drain(..).map(ended);
            running
                .filter(|one| members.contains(&one.member))
                .collect()
        }

        async fn observe(&mut self) -> Ended {
            let Some((end, _)) = self.running.front() else {
                return std::future::pending().await;
            };
            tokio::time::sleep_until(*end).await;
            let (_, member) = self.running.pop_front().unwrap();
            Ended {
                member,
                exit: Exit::Signal(9),
            }
        }
    }

    fn layout() -> Layout {
        let member = |name: &str| Member {
            name: name.to_owned(),
            role: Role::Relay,
            tier: "core".to_owned(),
            program: Program::Relay,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            files: Vec::new(),
            ports: Vec::new(),
        };
        Layout {
            topology: "orchard".to_owned(),
            members: vec![member("core-0"), member("core-1")],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_ends_is_noticed_at_once_and_started_again_after_its_backoff() {
        let mut supervisor = Supervisor::new(Fleeting::default(), layout(), Policy::Always);
        supervisor.start().await.unwrap();
        let mut log = Vec::new();
        for _ in 0..4 {
            log.push(match supervisor.next().await {
                Notice::Ended { member, .. } => format!("{member} ended"),
                Notice::Restarted { member } => format!("{member} restarted"),
                Notice::Failed { member, .. } => format!("{member} failed"),
            });
        }
        assert_eq!(
            log,
            [
                "core-0 ended",
                "core-1 ended",
                "core-0 restarted",
                "core-1 restarted"
            ]
        );
        assert_eq!(supervisor.began.elapsed(), Duration::from_millis(1_250));
        assert_eq!(supervisor.stop(Duration::ZERO).await.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_that_cannot_start_again_is_tried_again_later() {
        let world = Fleeting {
            broken: Some("core-0"),
            ..Default::default()
        };
        let mut supervisor = Supervisor::new(world, layout(), Policy::Always);
        supervisor.start().await.unwrap();
        let mut waits = Vec::new();
        while waits.len() < 3 {
            if let Notice::Failed {
                restart_in, error, ..
            } = supervisor.next().await
            {
                assert_eq!(error.to_string(), "no room");
                waits.push(restart_in.unwrap().as_millis());
            }
        }
        assert_eq!(waits, [500, 1000, 2000]);
    }
}
