//! Asks the API server what the election wants to know, and tells the process where it stands.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use super::fence::Fence;
use super::record::{NAME, Record, created};
use super::{Answer, Ask, Candidate, Election, End, Place, Timing};

/// A request without an answer after this is given up; what it did is then looked at.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// One process's part in the election.
pub struct Driver {
    api: Api<Lease>,
    namespace: String,
    release: String,
    election: Election,
    started: Instant,
    fence: Fence,
    place: watch::Sender<Place>,
    wider: Option<Wider>,
    /// Why the API server was not heard at the last request, which is logged once.
    trouble: watch::Sender<Option<String>>,
}

impl Driver {
    /// A candidate for the Lease of `namespace`.
    pub fn new(
        client: kube::Client,
        namespace: &str,
        me: Candidate,
        timing: Timing,
        started: Instant,
    ) -> (Self, Fence, watch::Receiver<Place>) {
        let fence = Fence::new(started);
        let (place, receiver) = watch::channel(Place::default());
        let driver = Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            release: me.release.clone(),
            election: Election::new(me, timing),
            started,
            fence: fence.clone(),
            place,
            wider: None,
            trouble: watch::Sender::new(None),
        };
        (driver, fence, receiver)
    }

    /// Why the API server cannot be heard now; requests are made every few seconds, by standbys too.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Also gives way to another release that holds the Lease of `namespace`, where those of a wider scope meet.
    #[must_use]
    pub fn below(mut self, client: kube::Client, namespace: &str) -> Self {
        self.wider = Some(Wider {
            api: Api::namespaced(client, namespace),
            seen: None,
            next: Duration::ZERO,
        });
        self
    }

    /// Runs until leadership is lost or `resign` is told, then gives the Lease back. The caller has stopped writing
    /// before it tells.
    pub async fn run(mut self, resign: CancellationToken) -> End {
        loop {
            if resign.is_cancelled() {
                self.election.resign();
            } else if let Some(release) = self.outranked().await {
                if self.election.leading(self.started.elapsed()).is_some() {
                    self.fence.set(None);
                    return End::Taken(format!("release {release} of a wider scope"));
                }
                self.show(Place::Refused { release });
                tokio::select! {
                    () = tokio::time::sleep(WIDER_EVERY) => {}
                    () = resign.cancelled() => {}
                }
                continue;
            }
            let asked = self.election.ask(self.started.elapsed(), wall());
            self.publish();
            let sent = self.started.elapsed();
            let answer = match &asked {
                Ask::Stop(end) => {
                    self.fence.set(None);
                    return end.clone();
                }
                Ask::Wait(until) => {
                    let wait = until.saturating_sub(sent);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = resign.cancelled() => {}
                    }
                    continue;
                }
                request => {
                    // A leader's last moment must not pass while it waits for an answer.
                    let patience = match self.election.leading(sent) {
                        Some(until) => REQUEST_TIMEOUT.min(until.saturating_sub(sent)),
                        None => REQUEST_TIMEOUT,
                    };
                    timeout(patience, request_of(&self.api, &self.namespace, request)).await
                }
            };
            let answer = match answer {
                Ok(Ok(answer)) => {
                    self.note(None);
                    answer
                }
                Ok(Err(error)) => {
                    self.note(Some(describe(&self.namespace, &error)));
                    Answer::Failed
                }
                Err(_) => {
                    self.note(Some("the API server did not answer in time".to_owned()));
                    Answer::Failed
                }
            };
            self.election
                .answer(&asked, sent, self.started.elapsed(), answer);
            self.publish();
        }
    }

    fn publish(&self) {
        let now = self.started.elapsed();
        self.fence.set(self.election.leading(now));
        self.show(self.election.place(now));
    }

    fn show(&self, place: Place) {
        self.place.send_if_modified(|old| {
            let changed = *old != place;
            if changed {
                tell(&place);
                *old = place;
            }
            changed
        });
    }

    /// The release that holds the wider scope, if there is one.
    async fn outranked(&mut self) -> Option<String> {
        let now = self.started.elapsed();
        let release = &self.release;
        let wider = self.wider.as_mut()?;
        if now >= wider.next {
            wider.next = now + WIDER_EVERY;
            wider.look(self.started).await;
        }
        wider.holder(release, self.started.elapsed())
    }

    fn note(&mut self, trouble: Option<String>) {
        match (&*self.trouble.borrow(), &trouble) {
            // Other words for the same outage are not news.
            (None, None) | (Some(_), Some(_)) => {}
            (None, Some(trouble)) => {
                tracing::warn!(
                    lease = NAME,
                    namespace = self.namespace,
                    "election: {trouble}"
                );
            }
            (Some(_), None) => tracing::info!(
                lease = NAME,
                namespace = self.namespace,
                "election: answers again"
            ),
        }
        self.trouble.send_replace(trouble);
    }
}

/// The Lease of a wider scope, which this process only reads.
struct Wider {
    api: Api<Lease>,
    /// What it says, and since when.
    seen: Option<(Record, String, Duration)>,
    next: Duration,
}

impl Wider {
    /// A Lease that may not be read is nobody's.
    async fn look(&mut self, started: Instant) {
        let Ok(Ok(found)) = timeout(WIDER_TIMEOUT, self.api.get_opt(NAME)).await else {
            return;
        };
        self.seen = found.map(|lease| {
            let version = version(&lease);
            let since = match self.seen.take() {
                Some((_, seen, since)) if seen == version => since,
                _ => started.elapsed(),
            };
            (Record::from(&lease), version, since)
        });
    }

    fn holder(&self, own: &str, now: Duration) -> Option<String> {
        let (record, _, since) = self.seen.as_ref()?;
        let alive = record.holder.is_some() && now < *since + record.duration;
        (alive && record.release != own).then(|| record.release.clone())
    }
}

/// Between two looks at a wider scope.
const WIDER_EVERY: Duration = Duration::from_secs(2);
/// Short, because a leader has renewals to send.
const WIDER_TIMEOUT: Duration = Duration::from_secs(1);

fn tell(place: &Place) {
    match place {
        Place::Unknown => {}
        Place::Standby { leader: None } => tracing::info!("standby: nobody leads yet"),
        Place::Standby {
            leader: Some(leader),
        } => tracing::info!(leader, "standby"),
        Place::Refused { release } => {
            tracing::error!(
                release,
                "refused: another release of the operator watches the same namespaces; uninstall one of the two"
            );
        }
        Place::Leading { term } => tracing::info!(term, "leading"),
    }
}

async fn request_of(api: &Api<Lease>, namespace: &str, ask: &Ask) -> kube::Result<Answer> {
    let written = |result: kube::Result<Lease>| match result {
        Ok(lease) => Ok(Answer::Written {
            version: version(&lease),
            created: created(&lease),
        }),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.code == 409 => {
            Ok(Answer::Conflict)
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Answer::Conflict),
        Err(error) => Err(error),
    };
    match ask {
        Ask::Create(record) => {
            let lease = record.lease(namespace, None);
            written(api.create(&PostParams::default(), &lease).await)
        }
        Ask::Replace { version, record } => {
            let lease = record.lease(namespace, Some(version));
            written(api.replace(NAME, &PostParams::default(), &lease).await)
        }
        Ask::Read | Ask::Wait(_) | Ask::Stop(_) => Ok(match api.get_opt(NAME).await? {
            Some(lease) => Answer::Found {
                record: Record::from(&lease),
                version: version(&lease),
            },
            None => Answer::Missing,
        }),
    }
}

fn version(lease: &Lease) -> String {
    lease.metadata.resource_version.clone().unwrap_or_default()
}

fn describe(namespace: &str, error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => format!(
            "not allowed: {}; the operator needs get, create and update on leases.coordination.k8s.io in namespace {namespace:?}",
            status.message
        ),
        other => crate::apply::error::sentence(other),
    }
}

fn wall() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}
