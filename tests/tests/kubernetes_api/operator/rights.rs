//! What happens where a right is missing.

use banyan_tests::{Stopwatch, cluster};
use serde_json::{Value, json};

use super::{LATER, SOON, plums, started};

pub(super) const SPACE: &str = "without-a-right";

/// The chart's role of the operator.
const ROLE: &str = "banyan-system-banyan";

#[test]
fn a_missing_right_is_told_and_concerns_nothing_else() {
    let _time = Stopwatch::start("missing right");
    let name = "a_missing_right_is_told_and_concerns_nothing_else";
    let Some(operator) = started(name) else {
        return;
    };
    let cluster = operator.cluster();
    let role = cluster
        .get(&["clusterrole", ROLE])
        .expect("the chart must have a role");
    let less = without(&role, "networkpolicies", "create");
    let set = |rules: &Value| {
        let patch = json!([{"op": "replace", "path": "/rules", "value": rules}]).to_string();
        cluster
            .kubectl(&["patch", "clusterrole", ROLE, "--type=json", "-p", &patch])
            .ok();
    };
    let may = || {
        let who = format!("--as={}", operator.account());
        let asked = [
            "auth",
            "can-i",
            "create",
            "networkpolicies",
            "-n",
            SPACE,
            &who,
        ];
        cluster.kubectl(&asked).status.success()
    };
    set(&less);
    cluster.wait_until("the right is gone", SOON, || !may());
    plums(cluster, SPACE);
    let told = cluster.wait_object(SPACE, "stopo/plums", "it says Forbidden", SOON, |found| {
        found["status"]["conditions"]
            .to_string()
            .contains("Forbidden")
    });
    // Back before anything may fail: other tests need it.
    set(&role["rules"]);
    cluster.wait_until("the right is back", SOON, may);

    let conditions = told["status"]["conditions"].as_array().expect("a list");
    let forbidden: Vec<&Value> = conditions
        .iter()
        .filter(|condition| condition["reason"] == "Forbidden")
        .collect();
    let message = forbidden[0]["message"].as_str().unwrap_or_default();
    for word in ["create", "networkpolicies", "plums-"] {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    for child in [
        "deployment/plums-edge",
        "service/plums",
        "poddisruptionbudget/plums-edge",
        "serviceaccount/plums-root",
        "deployment/loquat-origin",
    ] {
        cluster.wait_object(SPACE, child, "it exists", SOON, |_| true);
    }
    let policy = "networkpolicy/plums-edge";
    cluster.wait_object(SPACE, policy, "it exists now", LATER, |_| true);
    cluster.wait_object(
        SPACE,
        "stopo/plums",
        "nothing is forbidden",
        SOON,
        |found| {
            !found["status"]["conditions"]
                .to_string()
                .contains("Forbidden")
                && cluster::condition(found, "Accepted") == Some("True")
        },
    );
}

/// The rules of a role, without a verb on a resource.
fn without(role: &Value, resource: &str, verb: &str) -> Value {
    let mut rules = role["rules"].clone();
    let all = rules.as_array_mut().expect("a role must have rules");
    let mut taken = 0;
    for rule in all {
        let names = |field: &Value| {
            field
                .as_array()
                .is_some_and(|all| all.contains(&json!(resource)))
        };
        if names(&rule["resources"])
            && let Some(verbs) = rule["verbs"].as_array_mut()
        {
            let before = verbs.len();
            verbs.retain(|found| found != verb);
            taken += before - verbs.len();
        }
    }
    assert_eq!(taken, 1, "{role:#}");
    rules
}
