//! Whether a live object already says what is wanted of it.
//!
//! An API server adds defaults and other managers add fields, so what is wanted must be a part of what is there. Lists
//! that server-side apply merges by key may hold more; all other lists must be equal. Empty values are as good as
//! absent ones. Quantities are equal when their values are.

use banyan_api::quantity::billionths;
use serde_json::Value;

/// Lists in the children's kinds that several managers may share, by field name.
const SHARED: [&str; 11] = [
    "containers",
    "initContainers",
    "volumes",
    "volumeMounts",
    "env",
    "ports",
    "ownerReferences",
    "imagePullSecrets",
    "topologySpreadConstraints",
    "hostAliases",
    "secrets",
];

/// Whether `live` holds everything that `wanted` says.
pub fn holds(live: &Value, wanted: &Value) -> bool {
    holds_at("", live, wanted)
}

fn holds_at(field: &str, live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match live.get(key) {
                Some(live) => holds_at(key, live, wanted),
                None => empty(wanted),
            })
        }
        (Value::Array(live), Value::Array(wanted)) if SHARED.contains(&field) => wanted
            .iter()
            .all(|wanted| live.iter().any(|live| holds_at("", live, wanted))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live
                    .iter()
                    .zip(wanted)
                    .all(|(live, wanted)| holds_at("", live, wanted))
        }
        (Value::String(live), Value::String(wanted)) => {
            live == wanted
                || matches!((billionths(live), billionths(wanted)), (Some(a), Some(b)) if a == b)
        }
        (live, wanted) => live == wanted || (empty(live) && empty(wanted)),
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(empty),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wanted_is_a_part_of_what_is_there() {
        let cases = [
            (json!({"a": 1, "b": 2}), json!({"a": 1}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({"a": 1}), json!({"b": {}}), true),
            (json!({"a": 1}), json!({"b": false}), true),
            (json!({"a": 1}), json!({"b": true}), false),
            (json!({"args": ["x"]}), json!({"args": ["x", "y"]}), false),
            (json!({"args": ["x", "y"]}), json!({"args": ["x"]}), false),
            (
                json!({"env": [{"name": "theirs"}, {"name": "ours", "value": "1"}]}),
                json!({"env": [{"name": "ours", "value": "1"}]}),
                true,
            ),
            (
                json!({"env": [{"name": "ours", "value": "2"}]}),
                json!({"env": [{"name": "ours", "value": "1"}]}),
                false,
            ),
            (
                json!({"ingress": [{"from": []}, {"ports": [{"port": 1}]}]}),
                json!({"ingress": [{"ports": [{"port": 1}]}]}),
                false,
            ),
            (json!({"cpu": "1"}), json!({"cpu": "1000m"}), true),
            (json!({"memory": "1Gi"}), json!({"memory": "1024Mi"}), true),
            (json!({"cpu": "500m"}), json!({"cpu": "0.5"}), true),
            (json!({"cpu": "1"}), json!({"cpu": "2000m"}), false),
            (json!({"name": "1"}), json!({"name": "01"}), false),
        ];
        for (live, wanted, expected) in cases {
            assert_eq!(holds(&live, &wanted), expected, "{live} {wanted}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c0-9m.]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-d]|env", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn everything_holds_itself(value in value()) {
            prop_assert!(holds(&value, &value));
        }

        #[test]
        fn a_field_more_does_no_harm_and_one_less_does(value in value()) {
            let live = json!({"a": value, "more": 1});
            let less = json!({"a": value});
            prop_assert!(holds(&live, &less));
            prop_assert!(!holds(&less, &live));
        }
    }
}
