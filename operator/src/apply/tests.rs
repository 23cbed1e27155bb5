//! What the applier asks of an API server, and what it leaves alone. The API server is a fake of the four requests it
//! makes; merging is shown on a real one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use serde_json::json;

use super::*;
use crate::lease::fence::Fence;
use crate::metrics::Metrics;

type Request = axum::http::Request<Body>;
type Response = axum::http::Response<Body>;

/// Objects by path, and every request.
#[derive(Default)]
struct Fake {
    objects: BTreeMap<String, Value>,
    requests: Vec<(String, String, Value)>,
    /// Appears right after the first request.
    intruder: Option<(String, Value)>,
}

impl Fake {
    fn serve(&mut self, method: &str, path: &str, query: &str, body: Value) -> (u16, Value) {
        let asked = (method.to_owned(), format!("{path}?{query}"), body.clone());
        self.requests.push(asked);
        let found = self.objects.get(path).cloned();
        if let Some((path, object)) = self.intruder.take() {
            self.objects.insert(path, object);
        }
        match (method, found) {
            ("GET", Some(object)) => (200, object),
            ("GET" | "DELETE", None) => (404, status(404)),
            ("PATCH", Some(object)) => {
                let meant = &body["metadata"]["uid"];
                let stranger = !meant.is_null() && *meant != object["metadata"]["uid"];
                if stranger || !query.contains("force=true") {
                    return (409, status(409));
                }
                let mut merged = object;
                merge(&mut merged, &body);
                self.objects.insert(path.to_owned(), merged.clone());
                (200, merged)
            }
            ("PATCH", None) => {
                let mut made = body;
                made["metadata"]["uid"] = json!("made");
                self.objects.insert(path.to_owned(), made.clone());
                (201, made)
            }
            ("DELETE", Some(_)) => {
                self.objects.remove(path);
                (200, status(200))
            }
            _ => (405, status(405)),
        }
    }
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn status(code: u16) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "",
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "told by the fake", "reason": reason, "code": code})
}

struct World {
    fake: Arc<Mutex<Fake>>,
    applier: Applier,
    cache: Writer<ConfigMap>,
    metrics: Metrics,
}

impl World {
    fn new(fence: Fence) -> Self {
        let fake = Arc::new(Mutex::new(Fake::default()));
        let served = fake.clone();
        let service = tower::service_fn(move |request: Request| {
            let fake = served.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
                let (code, answer) =
                    fake.lock()
                        .unwrap()
                        .serve(parts.method.as_str(), path, query, body);
                let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
                *response.status_mut() = axum::http::StatusCode::from_u16(code).unwrap();
                Ok::<_, Infallible>(response)
            }
        });
        let client = kube::Client::new(service, "studio");
        let (store, cache) = reflector::store();
        let metrics = Metrics::default();
        let writes = Writes::new(fence, metrics.clone());
        Self {
            applier: Applier::new(client, Caches::of_config_maps(store), writes),
            fake,
            cache,
            metrics,
        }
    }

    /// The API server has this, and the watch told.
    fn stored(&mut self, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        let config: ConfigMap = serde_json::from_value(object.clone()).unwrap();
        self.cache.apply_watcher_event(&Event::Apply(config));
        self.fake.lock().unwrap().objects.insert(path(name), object);
    }

    /// The watch tells what the API server has by now.
    fn told(&mut self, name: &str) {
        let object = self.fake.lock().unwrap().objects[&path(name)].clone();
        self.stored(object);
    }

    fn requests(&self) -> Vec<(String, String, Value)> {
        std::mem::take(&mut self.fake.lock().unwrap().requests)
    }

    async fn apply(&self, wanted: &ConfigMap) -> Result<Outcome, Error> {
        self.applier.apply(&owner(), wanted).await
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/studio/configmaps/{name}")
}

fn owner() -> Owner {
    Owner {
        namespace: "studio".to_owned(),
        uid: "oak-uid".to_owned(),
        manager: "banyan-operator/topology",
    }
}

fn object(name: &str, uid: &str, owner: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": "studio",
            "uid": uid,
            "ownerReferences": [{"apiVersion": "banyan.media/v1alpha1", "kind": "StreamTopology", "name": "oak", "uid": owner, "controller": true}],
        },
        "data": {"root.json": "1"},
    })
}

fn wanted() -> ConfigMap {
    let mut object = object("oak-config", "", "oak-uid");
    object["metadata"].as_object_mut().unwrap().remove("uid");
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn a_child_is_made_once_without_force_and_then_costs_nothing() {
    let mut world = World::new(Fence::open());
    assert_eq!(world.apply(&wanted()).await.unwrap(), Outcome::Created);
    let requests = world.requests();
    let (method, uri, _) = requests.last().unwrap();
    assert_eq!(method, "PATCH");
    assert!(
        uri.contains("fieldManager=banyan-operator%2Ftopology"),
        "{uri}"
    );
    assert!(
        !uri.contains("force=true"),
        "a stranger's fields would be taken: {uri}"
    );
    world.told("oak-config");
    assert_eq!(world.apply(&wanted()).await.unwrap(), Outcome::Unchanged);
    assert!(world.requests().is_empty());
    assert_eq!(world.metrics.writes("patch", "ConfigMap"), 1);
}

#[tokio::test]
async fn what_others_add_stays_and_what_they_change_is_put_right() {
    let mut world = World::new(Fence::open());
    world.apply(&wanted()).await.unwrap();
    world.told("oak-config");
    let mut live = world.fake.lock().unwrap().objects[&path("oak-config")].clone();
    live["metadata"]["labels"] = json!({"team": "sport"});
    live["data"]["theirs"] = json!("2");
    world.stored(live.clone());
    assert_eq!(world.apply(&wanted()).await.unwrap(), Outcome::Unchanged);
    live["data"]["root.json"] = json!("3");
    world.stored(live);
    world.requests();
    assert_eq!(world.apply(&wanted()).await.unwrap(), Outcome::Changed);
    let requests = world.requests();
    let (_, uri, body) = &requests[0];
    assert!(uri.contains("force=true"));
    assert_eq!(
        body["metadata"]["uid"], "made",
        "only the object that was looked at"
    );
}

#[tokio::test]
async fn a_field_that_is_not_wanted_any_longer_is_applied_away() {
    let mut world = World::new(Fence::open());
    world.apply(&wanted()).await.unwrap();
    world.told("oak-config");
    let mut less = wanted();
    less.data = Some(BTreeMap::new());
    assert_eq!(world.apply(&less).await.unwrap(), Outcome::Changed);
}

#[tokio::test]
async fn an_api_server_that_says_it_in_other_words_is_asked_once() {
    let mut world = World::new(Fence::open());
    world.apply(&wanted()).await.unwrap();
    world.told("oak-config");
    let mut odd = wanted();
    odd.data = Some(BTreeMap::from([("root.json".to_owned(), "odd".to_owned())]));
    assert_eq!(world.apply(&odd).await.unwrap(), Outcome::Changed);
    world.told("oak-config");
    let hash = {
        let live = &world.fake.lock().unwrap().objects[&path("oak-config")];
        live["metadata"]["annotations"][APPLIED_HASH]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // From now on it stores "ODD" whenever it is told "odd".
    let mut live = world.fake.lock().unwrap().objects[&path("oak-config")].clone();
    live["data"]["root.json"] = json!("ODD");
    world.applier.settle("made".to_owned(), hash, &live);
    world.stored(live);
    world.requests();
    assert_eq!(world.apply(&odd).await.unwrap(), Outcome::Unchanged);
    assert!(world.requests().is_empty());
}

#[tokio::test]
async fn a_strangers_object_is_never_touched() {
    // Without our label the watch does not tell of it; with it, it does.
    for told in [false, true] {
        for holder in ["elm-uid", ""] {
            let mut world = World::new(Fence::open());
            let mut theirs = object("oak-config", "theirs", holder);
            if holder.is_empty() {
                theirs["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove("ownerReferences");
            }
            if told {
                world.stored(theirs.clone());
            }
            let objects = BTreeMap::from([(path("oak-config"), theirs)]);
            world.fake.lock().unwrap().objects = objects.clone();
            let error = world.apply(&wanted()).await.unwrap_err();
            assert_eq!(error.reason(), "NameConflict");
            assert!(error.to_string().contains("oak-config"), "{error}");
            assert_eq!(world.fake.lock().unwrap().objects, objects);
            assert_eq!(world.metrics.writes("patch", "ConfigMap"), 0);
        }
    }
}

#[tokio::test]
async fn a_stranger_that_comes_first_keeps_the_name() {
    let world = World::new(Fence::open());
    let theirs = object("oak-config", "theirs", "elm-uid");
    world.fake.lock().unwrap().intruder = Some((path("oak-config"), theirs.clone()));
    let error = world.apply(&wanted()).await.unwrap_err();
    assert_eq!(error.reason(), "NameConflict");
    assert_eq!(
        world.fake.lock().unwrap().objects[&path("oak-config")],
        theirs
    );
}

#[tokio::test]
async fn a_standby_writes_nothing() {
    let mut world = World::new(Fence::new(std::time::Instant::now()));
    assert!(matches!(
        world.apply(&wanted()).await,
        Err(Error::NotLeading)
    ));
    world.stored(object("oak-old", "old", "oak-uid"));
    let pruned = world.applier.prune::<ConfigMap>(&owner(), &[]).await;
    assert!(matches!(pruned, Err(Error::NotLeading)));
    assert!(world.requests().iter().all(|(method, ..)| method == "GET"));
}

#[tokio::test]
async fn orphans_go_and_only_orphans() {
    let mut world = World::new(Fence::open());
    world.stored(object("oak-config", "kept", "oak-uid"));
    world.stored(object("oak-old", "old", "oak-uid"));
    world.stored(object("elm-config", "elm", "elm-uid"));
    let wanted = ["oak-config".to_owned()];
    world
        .applier
        .prune::<ConfigMap>(&owner(), &wanted)
        .await
        .unwrap();
    let requests = world.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let (method, uri, body) = &requests[0];
    assert_eq!(
        (method.as_str(), uri.contains("/oak-old")),
        ("DELETE", true)
    );
    assert_eq!(body["preconditions"]["uid"], "old");
}
