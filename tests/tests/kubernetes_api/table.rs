//! The table of tests/manifests/crd, asked of a real API server: what it refuses and with which sentence, what it
//! accepts, what it fills in.

use banyan_tests::crd_cases::{self, Case};
use banyan_tests::{Cluster, Stopwatch, cluster::Output};
use serde_json::Value;

use super::with_definitions;

/// Where cases that need a stored object keep it.
const SPACE: &str = "table";

#[test]
fn the_api_server_accepts_refuses_and_fills_in_what_the_table_says() {
    let _time = Stopwatch::start("table");
    let name = "the_api_server_accepts_refuses_and_fills_in_what_the_table_says";
    let Some(cluster) = with_definitions(name) else {
        return;
    };
    cluster.namespace(SPACE);
    let mut count = 0;
    for (plural, cases) in crd_cases::all() {
        for case in &cases {
            check(plural, case, &ask(cluster, plural, case));
            count += 1;
        }
    }
    println!("  {count} cases");
    assert!(count > 80, "only {count} cases were found");
}

/// What the API server answers to a case.
#[track_caller]
fn ask(cluster: &Cluster, plural: &str, case: &Case) -> Output {
    let path = format!("/apis/banyan.media/v1alpha1/namespaces/{SPACE}/{plural}");
    let create = |query: &str| {
        cluster.kubectl_with(
            &case.object.to_string(),
            &["create", "--raw", &format!("{path}?{query}"), "-f", "-"],
        )
    };
    let Some(then) = &case.then else {
        return create("dryRun=All&fieldValidation=Strict");
    };
    let stored: Value = serde_json::from_str(&create("fieldValidation=Strict").ok())
        .expect("the API server must answer in JSON");
    let name = stored["metadata"]["name"]
        .as_str()
        .expect("an object must have a name");
    // A patch, because operators of other tests may write status in between.
    let answer = cluster.kubectl(&[
        "-n",
        SPACE,
        "patch",
        plural,
        name,
        "--type=merge",
        "--dry-run=server",
        "-o",
        "json",
        "-p",
        &then.to_string(),
    ]);
    cluster
        .kubectl(&["delete", "--raw", &format!("{path}/{name}")])
        .ok();
    answer
}

#[track_caller]
fn check(plural: &str, case: &Case, answer: &Output) {
    let case_name = format!("{plural}, {}", case.name);
    if let Some(sentence) = &case.refused {
        assert!(
            !answer.status.success(),
            "{case_name}: this was accepted: {}",
            answer.out
        );
        assert!(
            answer.err.contains(sentence),
            "{case_name}: {sentence:?} is not in {}",
            answer.err
        );
        return;
    }
    assert!(answer.status.success(), "{case_name}: {}", answer.err);
    let stored: Value =
        serde_json::from_str(&answer.out).expect("the API server must answer in JSON");
    for (pointer, expected) in &case.gives {
        let found = stored.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{case_name}: {pointer}");
    }
}
