//! The planner's guarantees as properties over random worlds.
#![allow(clippy::unwrap_used)]

#[path = "support/checks.rs"]
mod checks;
#[path = "support/worlds.rs"]
mod worlds;

use banyan_planner::{Input, Plan, PlanError, plan};
use checks::{Costs, assert_sound};
use proptest::prelude::*;
use worlds::World;

/// A plan, or nothing when the world is such that no plan exists (links down, no path between roots).
fn planned(input: &Input, previous: Option<&Plan>) -> Option<Plan> {
    match plan(input, previous) {
        Ok(plan) => Some(plan),
        Err(PlanError::Unreachable { .. } | PlanError::RootUnreachable { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_sound(world in World::any(8, 60)) {
        let input = world.input();
        if let Some(plan) = planned(&input, None) {
            assert_sound(&input, &plan);
            let text = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Plan>(&text).unwrap(), &plan);
            for relay in &input.relays {
                let told = plan.explain(&relay.name);
                prop_assert!(told.is_some() || !plan.homes.contains_key(relay.name.as_str()));
            }
        }
    }

    /// Replanning after any change keeps every guarantee too.
    #[test]
    fn replanning_in_another_world_is_sound(before in World::any(8, 40), after in World::any(8, 40)) {
        let Some(old) = planned(&before.input(), None) else { return Ok(()) };
        let input = after.input();
        if let Some(plan) = planned(&input, Some(&old)) {
            assert_sound(&input, &plan);
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(world in World::any(8, 40), turn in 0_usize..50) {
        let input = world.input();
        let mut shuffled = input.clone();
        shuffled.relays.reverse();
        let relays = shuffled.relays.len();
        shuffled.relays.rotate_left(turn % relays);
        shuffled.links.reverse();
        shuffled.streams.reverse();
        shuffled.demand.reverse();
        prop_assert_eq!(plan(&input, None), plan(&shuffled, None));
        let Some(old) = planned(&input, None) else { return Ok(()) };
        let mut fewer = input.clone();
        let gone = shuffled.relays.pop().unwrap().name;
        for input in [&mut shuffled, &mut fewer] {
            input.links.retain(|link| link.from != gone && link.to != gone);
            input.demand.retain(|demand| demand.relay != gone);
            input.streams.iter_mut().for_each(|stream| stream.carriers.retain(|carrier| *carrier != gone));
        }
        fewer.relays.retain(|relay| shuffled.relays.iter().any(|other| other.name == relay.name));
        prop_assert_eq!(plan(&fewer, Some(&old)), plan(&shuffled, Some(&old)));
    }

    #[test]
    fn planning_again_changes_nothing(world in World::any(8, 40)) {
        let input = world.input();
        let Some(first) = planned(&input, None) else { return Ok(()) };
        let second = plan(&input, Some(&first)).unwrap();
        prop_assert_eq!(second, first);
    }

    /// Sharing out children keeps every guarantee, and comes to rest.
    #[test]
    fn a_balanced_plan_is_sound_and_settles(before in World::any(8, 40), after in World::any(8, 40)) {
        let Some(old) = planned(&before.input(), None) else { return Ok(()) };
        let mut input = after.input();
        input.rules.balance = true;
        let Some(mut plan) = planned(&input, Some(&old)) else { return Ok(()) };
        for _ in 0..8 {
            assert_sound(&input, &plan);
            let again = planned(&input, Some(&plan)).unwrap();
            if again.moved_since(&plan) == 0 {
                return Ok(());
            }
            plan = again;
        }
        prop_assert!(false, "still moving after eight plans");
    }

    /// The hysteresis is 20 %; 8 % up on one link and down on another stay below it.
    #[test]
    fn noise_below_the_hysteresis_moves_nobody(
        world in World::any(8, 60),
        noise in proptest::collection::vec(92_u32..=108, 60),
    ) {
        let mut input = world.input();
        let Some(first) = planned(&input, None) else { return Ok(()) };
        for (link, percent) in input.links.iter_mut().zip(&noise) {
            link.rtt_us = link.rtt_us * percent / 100;
        }
        let second = plan(&input, Some(&first)).unwrap();
        prop_assert_eq!(second.moved_since(&first), 0);
    }

    /// Demand takes nothing from anyone: homes do not depend on it.
    #[test]
    fn a_change_of_demand_moves_no_home(world in World::any(8, 40)) {
        let mut input = world.input();
        let Some(first) = planned(&input, None) else { return Ok(()) };
        input.demand.clear();
        let second = plan(&input, Some(&first)).unwrap();
        prop_assert_eq!(&second.homes, &first.homes);
        prop_assert!(second.trees.values().all(|tree| tree.joins.is_empty()));
    }

    /// Without one relay only its children move, and those who take a slot it freed or that its children took.
    #[test]
    fn the_loss_of_one_relay_moves_its_children_and_few_others(world in World::any(12, 60), victim in any::<u32>()) {
        let mut input = world.input();
        let Some(first) = planned(&input, None) else { return Ok(()) };
        let victim = input.relays.remove(victim as usize % input.relays.len());
        input.links.retain(|link| link.from != victim.name && link.to != victim.name);
        input.demand.retain(|demand| demand.relay != victim.name);
        input.streams.iter_mut().for_each(|stream| stream.carriers.retain(|carrier| *carrier != victim.name));
        let children = first.homes.values().filter(|home| home.parent.as_str() == victim.name).count();
        let Ok(second) = plan(&input, Some(&first)) else { return Ok(()) };
        let moved = second.moved_since(&first);
        prop_assert!(moved <= 2 * children + 3, "{moved} moved for {children} children of {}", victim.name);
    }

    #[test]
    fn homes_of_small_trees_are_the_optimum(mut world in World::any(3, 40)) {
        world.tiers.truncate(3);
        let mut input = world.input();
        input.streams.clear();
        input.demand.clear();
        let Some(optimum) = cheapest(&input) else {
            prop_assert!(planned(&input, None).is_none());
            return Ok(());
        };
        let total: u64 = plan(&input, None).unwrap().homes.values().map(|home| home.cost_us).sum();
        prop_assert_eq!(total, optimum);
    }
}

/// The cheapest assignment of all homes by trying all of them; `None` when there is none.
fn cheapest(input: &Input) -> Option<u64> {
    let costs = Costs::of(input);
    let lower: Vec<&str> = input
        .relays
        .iter()
        .filter(|relay| relay.tier > 0)
        .map(|relay| relay.name.as_str())
        .collect();
    let mut upper: Vec<(&str, u32)> = input
        .relays
        .iter()
        .map(|relay| (relay.name.as_str(), relay.fan_out))
        .collect();
    upper.retain(|(_, fan_out)| *fan_out > 0);
    fn go(costs: &Costs<'_>, lower: &[&str], upper: &mut [(&str, u32)]) -> Option<u64> {
        let Some((first, rest)) = lower.split_first() else {
            return Some(0);
        };
        let mut best = None;
        for index in 0..upper.len() {
            if upper[index].1 == 0 || costs.relay(upper[index].0).tier >= costs.relay(first).tier {
                continue;
            }
            let Some(cost) = costs.cost(first, upper[index].0) else {
                continue;
            };
            upper[index].1 -= 1;
            let total = go(costs, rest, upper).map(|others| others + cost);
            upper[index].1 += 1;
            best = [best, total].into_iter().flatten().min();
        }
        best
    }
    go(&costs, &lower, &mut upper)
}
