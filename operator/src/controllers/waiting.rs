//! The work queue of a controller, as far as it can be seen from outside: objects that a change, or a new leadership,
//! asks to be reconciled, until that begins.
//!
//! The runtime shows nothing of its own queue, so what goes in and what comes out is kept beside it. As there, an object
//! waits once however often it is asked for, and one that is asked for while it is reconciled waits for the next time.
//! What backs off or is looked at again after a time is not asked for, and counts as [`super::backoff::Backoff`] says.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::watch::Key;
use crate::metrics::Metrics;

/// Objects of one kind that wait.
#[derive(Debug)]
pub struct Waiting {
    controller: &'static str,
    metrics: Metrics,
    keys: Mutex<HashSet<Key>>,
}

impl Waiting {
    /// Nobody waits.
    pub fn new(controller: &'static str, metrics: Metrics) -> Self {
        metrics.queued(controller, 0);
        Self {
            controller,
            metrics,
            keys: Mutex::default(),
        }
    }

    /// These shall be reconciled.
    pub fn ask(&self, keys: impl IntoIterator<Item = Key>) {
        self.change(|waiting| waiting.extend(keys));
    }

    /// The reconcile of this one begins, or it turned out to be gone.
    pub fn begin(&self, key: &Key) {
        self.change(|waiting| {
            waiting.remove(key);
        });
    }

    fn change(&self, change: impl FnOnce(&mut HashSet<Key>)) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut keys);
        self.metrics.queued(self.controller, keys.len());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures::StreamExt;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::controller::Action;
    use kube::runtime::{reflector, watcher};
    use tokio::sync::{mpsc, watch};
    use tokio_util::sync::CancellationToken;

    use super::super::{Error, control, forget_gone, key};
    use super::*;
    use crate::lease::Place;

    fn depth(metrics: &Metrics, controller: &str) -> u64 {
        let name = banyan_api::metrics::OPERATOR_QUEUE_DEPTH;
        let start = format!("{name}{{controller=\"{controller}\"}} ");
        let text = metrics.text().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(&start));
        value.unwrap().parse().unwrap()
    }

    /// On a clock of its own: the runtime waits a moment before it begins, and that moment shows.
    #[tokio::test(start_paused = true)]
    async fn what_a_controller_is_given_waits_until_it_begins_or_is_gone() {
        let metrics = Metrics::default();
        let waiting = Arc::new(Waiting::new("server", metrics.clone()));
        let mut pear = ConfigMap::default();
        pear.metadata.name = Some("pear".to_owned());
        pear.metadata.namespace = Some("space".to_owned());
        let (store, mut writer) = reflector::store();
        for event in [
            watcher::Event::Init,
            watcher::Event::InitApply(pear.clone()),
            watcher::Event::InitDone,
        ] {
            writer.apply_watcher_event(&event);
        }
        let (changes, queue) = mpsc::channel(4);
        let (place, places) = watch::channel(Place::Unknown);
        let leaving = CancellationToken::new();
        let (memory, done) = (waiting.clone(), waiting.clone());
        let controller = control::<ConfigMap>(store, (queue, waiting), places, leaving)
            .run(
                |object, waiting: Arc<Waiting>| async move {
                    waiting.begin(&key(&*object));
                    Ok::<_, Error>(Action::await_change())
                },
                |_, _, _| Action::await_change(),
                memory,
            )
            .for_each(move |end| {
                forget_gone(&done, end.err());
                std::future::ready(())
            });
        let controller = tokio::spawn(controller);

        for name in ["pear", "pear", "gone"] {
            changes
                .send(("space".to_owned(), name.to_owned()))
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(depth(&metrics, "server"), 2);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(depth(&metrics, "server"), 0);

        // A new leader looks at everything.
        place.send_replace(Place::Leading { term: 1 });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(depth(&metrics, "server"), 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(depth(&metrics, "server"), 0);
        controller.abort();
    }

    #[test]
    fn an_object_waits_once_from_the_first_asking_until_it_begins() {
        let metrics = Metrics::default();
        let waiting = Waiting::new("server", metrics.clone());
        let other = Waiting::new("topology", metrics.clone());
        let key = |name: &str| ("space".to_owned(), name.to_owned());
        let depth = |controller| depth(&metrics, controller);
        assert_eq!(depth("server"), 0);
        waiting.ask([key("pear"), key("plum")]);
        waiting.ask([key("plum")]);
        assert_eq!(depth("server"), 2);
        waiting.begin(&key("plum"));
        assert_eq!(depth("server"), 1);
        // Asked for while it is at work: once more after that.
        waiting.ask([key("plum")]);
        assert_eq!(depth("server"), 2);
        for name in ["plum", "pear", "nobody"] {
            waiting.begin(&key(name));
        }
        assert_eq!((depth("server"), depth("topology")), (0, 0));
        drop(other);
    }
}
