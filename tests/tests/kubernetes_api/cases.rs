//! Good objects, and for every rule a change that breaks it with what the refusal must say.

use serde_json::{Value, json};

pub(crate) fn topology() -> Value {
    json!({
        "apiVersion": "banyan.media/v1alpha1", "kind": "StreamTopology",
        "metadata": {"name": "plums"},
        "spec": {"relays": [{"name": "hall", "replicas": 2, "fanOut": 4}], "edge": {"replicas": 2}},
    })
}

pub(crate) fn server() -> Value {
    json!({
        "apiVersion": "banyan.media/v1alpha1", "kind": "ContentServer",
        "metadata": {"name": "loquat"},
        "spec": {"topology": "plums", "contents": [
            {"name": "kites", "source": {"test": {"pattern": "clock", "duration": "12s"}}},
        ]},
    })
}

/// A change to a good object, and what the refusal must say.
pub(crate) struct Case {
    pub(crate) object: Value,
    pub(crate) change: String,
    pub(crate) says: &'static str,
}

fn case(good: fn() -> Value, pointer: &str, value: Value, says: &'static str) -> Case {
    let mut object = good();
    let change = format!("{pointer} = {value}");
    set(&mut object, pointer, value);
    Case {
        object,
        change,
        says,
    }
}

/// Sets a value by its pointer, making the objects on the way; `-` appends to an array.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer
        .rsplit_once('/')
        .expect("a pointer must have a slash");
    if object.pointer(parent).is_none() {
        set(object, parent, json!({}));
    }
    match object.pointer_mut(parent) {
        Some(Value::Array(items)) if key == "-" => items.push(value),
        Some(parent) => match key.parse::<usize>() {
            Ok(index) if parent.is_array() => parent[index] = value,
            _ => parent[key] = value,
        },
        None => panic!("{pointer} leads nowhere"),
    }
}

pub(crate) fn refused_topologies() -> Vec<Case> {
    let tier = |name: &str| json!({"name": name, "replicas": 2, "fanOut": 4});
    [
        (
            "/spec/rendezvous/replicas",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "/spec/rendezvous/fanOut",
            json!(0),
            "should be greater than or equal to 1",
        ),
        (
            "/spec/rendezvous",
            json!({"replicas": 1, "fanOut": 1}),
            "rendezvous.replicas x rendezvous.fanOut must be at least",
        ),
        (
            "/spec/edge/replicas",
            json!(9),
            "replicas x fanOut of the last relay tier must be at least edge.replicas",
        ),
        (
            "/spec/edge/replicas",
            json!(-1),
            "should be greater than or equal to 0",
        ),
        (
            "/spec/edge/drainTimeout",
            json!("61m"),
            "drainTimeout must be at most 1h",
        ),
        (
            "/spec/rendezvous/drainTimeout",
            json!("2h"),
            "drainTimeout must be at most 1h",
        ),
        (
            "/spec/relays/0/drainTimeout",
            json!("2h"),
            "drainTimeout must be at most 1h",
        ),
        ("/spec/edge/drainTimeout", json!("soon"), "should match"),
        (
            "/spec/relays/0/name",
            json!("edge"),
            "name must not be root, edge, control or origin",
        ),
        ("/spec/relays/0/name", json!("Hall"), "should match"),
        (
            "/spec/relays/-",
            tier("hall"),
            "relays must have names of their own",
        ),
        (
            "/spec/edge/autoscale",
            json!({"minReplicas": 3, "maxReplicas": 2, "targetSessions": 9}),
            "minReplicas must not exceed maxReplicas",
        ),
        (
            "/spec/edge/autoscale",
            json!({"minReplicas": 1, "maxReplicas": 2}),
            "autoscale must have exactly one of targetSessions or targetEgress",
        ),
        (
            "/spec/edge/service",
            json!({"type": "ClusterIP", "loadBalancerClass": "x"}),
            "loadBalancerClass is accepted only with type LoadBalancer",
        ),
        (
            "/spec/edge/service",
            json!({"type": "ClusterIP", "externalTrafficPolicy": "Local"}),
            "externalTrafficPolicy is accepted only with type NodePort or LoadBalancer",
        ),
        (
            "/spec/edge/service",
            json!({"type": "Tunnel"}),
            "Unsupported value",
        ),
        (
            "/spec/originSelection/weights",
            json!({"latency": 50, "loss": 30, "load": 30}),
            "must sum to 100",
        ),
        (
            "/spec/originSelection/weights",
            json!({"latency": 100}),
            "Required value",
        ),
        (
            "/spec/originSelection/heartbeatInterval",
            json!("10ms"),
            "heartbeatInterval must be from 100ms to 1m",
        ),
        (
            "/spec/originSelection/minimumDwell",
            json!("2h"),
            "minimumDwell must be at most 1h",
        ),
        (
            "/spec/packaging",
            json!({"segmentDuration": "500ms"}),
            "segmentDuration must be from 1s to 10s",
        ),
        (
            "/spec/packaging",
            json!({"partDuration": "50ms"}),
            "partDuration must be at least 100ms",
        ),
        (
            "/spec/packaging",
            json!({"segmentDuration": "2s", "partDuration": "3s"}),
            "partDuration must not be longer than segmentDuration",
        ),
        (
            "/spec/overlay",
            json!({"strategy": "Neighbors"}),
            "neighbors must be listed for strategy Neighbors and only for it",
        ),
        (
            "/spec/upgradePolicy",
            json!("Sometimes"),
            "Unsupported value",
        ),
    ]
    .into_iter()
    .map(|(pointer, value, says)| case(topology, pointer, value, says))
    .collect()
}

pub(crate) fn refused_servers() -> Vec<Case> {
    let content = |name: &str, source: Value| json!({"name": name, "source": source});
    let file = |path: &str| content("talk", json!({"file": {"path": path}}));
    [
        ("/spec/topology", json!(""), "should be at least 1"),
        (
            "/spec/contents/-",
            content("kites", json!({"test": {}})),
            "Duplicate value",
        ),
        ("/spec/contents/0/name", json!("Kites"), "should match"),
        (
            "/spec/contents/-",
            content("api", json!({"test": {}})),
            "name must not be",
        ),
        (
            "/spec/contents/-",
            content("both", json!({"test": {}, "file": {"path": "a.mp4"}})),
            "exactly one",
        ),
        (
            "/spec/contents/-",
            content("none", json!({})),
            "exactly one",
        ),
        (
            "/spec/contents/-",
            file("a\\b.mp4"),
            "path must name a file with forward slashes",
        ),
        (
            "/spec/contents/-",
            content("a", json!({"test": {"pattern": "bars", "duration": "1s"}})),
            "duration must be from 2s to 1h",
        ),
        (
            "/spec/contents/-",
            content("a", json!({"rtsp": {"url": "http://cam"}})),
            "rtsp.url must start with rtsp:// or rtsps://",
        ),
        (
            "/spec/contents/-",
            content("a", json!({"rtmp": {"url": "http://cam"}})),
            "rtmp.url must start with rtmp:// or rtmps://",
        ),
        (
            "/spec/contents/-",
            content("a", json!({"srt": {"url": "http://cam"}})),
            "srt.url must start with srt://",
        ),
        (
            "/spec/contents/-",
            content("a", json!({"http": {"url": "rtsp://cam"}})),
            "http.url must start with http:// or https://",
        ),
        (
            "/spec/contents/0/renditions",
            json!([{"name": "audio", "height": 240, "videoBitrate": "1M", "audioBitrate": "64k"}]),
            "name must not be audio or text",
        ),
        (
            "/spec/workload",
            json!({"managed": {}, "external": {}}),
            "workload must have exactly one of managed, sidecar or external",
        ),
        (
            "/spec/workload",
            json!({"managed": {"cache": {"size": "1Gi", "persistentVolumeClaim": "a"}}}),
            "cache must have exactly one of size or persistentVolumeClaim",
        ),
        ("/spec/contents/-", file("/etc/passwd"), "path must"),
        ("/spec/contents/-", file("a/../../b.mp4"), "path must"),
    ]
    .into_iter()
    .map(|(pointer, value, says)| case(server, pointer, value, says))
    .collect()
}
