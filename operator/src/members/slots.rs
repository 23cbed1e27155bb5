//! Which pod is which member: each is given the lowest free slot of its tier, once in its life.

use std::collections::{BTreeMap, BTreeSet};

use super::pod::Pod;

/// The slots to be given now, by the pod's UID; `promised` are those given before and not yet seen on their pods.
///
/// Pods are served in the order of their creation. A pod that goes keeps its slot until it is gone; one without an
/// address gets none yet. Where two pods say one slot (somebody wrote an annotation), the older keeps it.
pub(crate) fn assign<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    promised: &BTreeMap<String, u32>,
) -> BTreeMap<String, u32> {
    let mut pods: Vec<&Pod> = pods.into_iter().collect();
    pods.sort_by_key(|pod| (pod.born, &pod.name));
    let held = holders(pods.iter().copied());
    let mut taken: BTreeSet<u32> = held.keys().copied().collect();
    let mut given = BTreeMap::new();
    let waiting = |pod: &&&Pod| {
        let holds = pod.slot.is_some_and(|slot| held[&slot].uid == pod.uid);
        !holds && pod.ip.is_some() && !pod.leaving
    };
    let waiting: Vec<&&Pod> = pods.iter().filter(waiting).collect();
    // What was promised is kept, whatever came since.
    for pod in &waiting {
        if let Some(slot) = promised.get(&pod.uid)
            && taken.insert(*slot)
        {
            given.insert(pod.uid.clone(), *slot);
        }
    }
    let mut free = 0;
    for pod in waiting {
        if given.contains_key(&pod.uid) {
            continue;
        }
        while !taken.insert(free) {
            free += 1;
        }
        given.insert(pod.uid.clone(), free);
    }
    given
}

/// Who holds each slot of one tier.
pub(crate) fn holders<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> BTreeMap<u32, &'a Pod> {
    let mut holders: BTreeMap<u32, &Pod> = BTreeMap::new();
    for pod in pods {
        let Some(slot) = pod.slot else {
            continue;
        };
        let older = |held: &&mut &Pod| (held.born, &held.name) <= (pod.born, &pod.name);
        if holders.get_mut(&slot).filter(older).is_none() {
            holders.insert(slot, pod);
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::members::pod::tests::pod;

    fn given(pods: &[Pod], promised: &[(&str, u32)]) -> Vec<(String, u32)> {
        let promised = promised
            .iter()
            .map(|(name, slot)| (format!("uid-{name}"), *slot))
            .collect();
        assign(pods, &promised).into_iter().collect()
    }

    #[test]
    fn the_lowest_free_slot_is_given_and_nobody_is_renamed() {
        let mut pods = vec![
            pod("a", "edge", "10.0.0.1", Some(0)),
            pod("b", "edge", "10.0.0.2", Some(2)),
            pod("c", "edge", "10.0.0.3", None),
            pod("d", "edge", "10.0.0.4", None),
        ];
        let both = [("uid-c".to_owned(), 1), ("uid-d".to_owned(), 3)];
        assert_eq!(given(&pods, &[]), both);
        // A pod that goes keeps its slot; without an address there is none to give.
        pods[0].leaving = true;
        pods[2].ip = None;
        assert_eq!(given(&pods, &[]), [("uid-d".to_owned(), 1)]);
        pods[3].leaving = true;
        assert!(given(&pods, &[]).is_empty());
    }

    #[test]
    fn a_promise_holds_until_it_is_seen() {
        let pods = [
            pod("a", "edge", "10.0.0.1", None),
            pod("b", "edge", "10.0.0.2", None),
        ];
        let kept = [("uid-a".to_owned(), 1), ("uid-b".to_owned(), 0)];
        assert_eq!(given(&pods, &[("b", 0)]), kept);
    }

    #[test]
    fn of_two_pods_with_one_slot_the_older_keeps_it() {
        let mut pods = [
            pod("a", "edge", "10.0.0.1", Some(0)),
            pod("b", "edge", "10.0.0.2", Some(0)),
        ];
        assert_eq!(given(&pods, &[]), [("uid-b".to_owned(), 1)]);
        pods[0].born = 101;
        assert_eq!(given(&pods, &[]), [("uid-a".to_owned(), 1)]);
        assert_eq!(holders(&pods)[&0].name, "b");
    }

    proptest! {
        /// Whatever pods come, go and say: no two of a tier share a slot, nobody with a slot of its own gets another,
        /// and slots are dense when all can have one.
        #[test]
        fn slots_are_distinct_stable_and_dense(
            drawn in prop::collection::vec((0i64..4, prop::option::of(0u32..6), any::<bool>(), any::<bool>()), 0..12),
            promised in prop::collection::btree_map(0usize..12, 0u32..6, 0..6),
        ) {
            let pods: Vec<Pod> = drawn
                .iter()
                .enumerate()
                .map(|(index, (born, slot, has_ip, leaving))| Pod {
                    born: *born,
                    leaving: *leaving,
                    ..pod(&format!("p{index}"), "edge", if *has_ip { "10.0.0.1" } else { "" }, *slot)
                })
                .collect();
            let promised = promised.into_iter().map(|(i, slot)| (format!("uid-p{i}"), slot)).collect();
            let given = assign(&pods, &promised);
            let held = holders(&pods);
            let mut seen: BTreeSet<u32> = held.keys().copied().collect();
            for slot in given.values() {
                prop_assert!(seen.insert(*slot), "slot {slot} is given twice");
                prop_assert!((*slot as usize) < 6 + pods.len());
            }
            for pod in &pods {
                let holds = pod.slot.is_some_and(|slot| held[&slot].uid == pod.uid);
                let wants = !holds && pod.ip.is_some() && !pod.leaving;
                prop_assert_eq!(given.contains_key(&pod.uid), wants);
            }
            // Once carried out, there is nothing to do.
            let after: Vec<Pod> = pods
                .iter()
                .map(|pod| Pod { slot: given.get(&pod.uid).copied().or(pod.slot), ..pod.clone() })
                .collect();
            prop_assert!(assign(&after, &promised).is_empty());
        }
    }
}
