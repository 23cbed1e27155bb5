//! The secret that members show each other, which the operator makes and cannot read.

use banyan_tests::Stopwatch;
use serde_json::json;

use super::{LATER, SOON, object, plums, started};

const SECRET: &str = "secret/plums-run";

#[test]
fn a_strangers_run_secret_is_left_alone_told_and_used_by_nobody() {
    let _time = Stopwatch::start("foreign secret");
    let name = "a_strangers_run_secret_is_left_alone_told_and_used_by_nobody";
    let Some(operator) = started(name) else {
        return;
    };
    let cluster = operator.cluster();
    let space = "foreign-secret";
    cluster.namespace(space);
    let mine = [
        "-n",
        space,
        "create",
        "secret",
        "generic",
        "plums-run",
        "--from-literal=secret=mine",
    ];
    cluster.kubectl(&mine).ok();
    plums(cluster, space);
    let told = cluster.wait_object(
        space,
        "stopo/plums",
        "it says NameConflict",
        SOON,
        |found| {
            found["status"]["conditions"]
                .to_string()
                .contains("NameConflict")
        },
    );
    assert!(
        told["status"]["conditions"]
            .to_string()
            .contains("plums-run"),
        "{told:#}"
    );
    let found = object(cluster, space, SECRET);
    assert_eq!(found["data"], json!({"secret": "bWluZQ=="}));
    assert!(found["metadata"]["ownerReferences"].is_null());
    let made = cluster.list(&["-n", space, "deployments"]);
    assert!(
        made.iter()
            .all(|one| one["metadata"]["name"] == "loquat-origin"),
        "{made:#?}"
    );

    cluster.kubectl(&["-n", space, "delete", SECRET]).ok();
    cluster.wait_object(space, "deployment/plums-edge", "it exists", LATER, |_| true);
    let own = object(cluster, space, SECRET);
    assert_eq!(own["metadata"]["ownerReferences"][0]["name"], "plums");
    assert_eq!(own["immutable"], true);
}
