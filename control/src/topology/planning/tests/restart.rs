//! A control plane that starts anew, and plans that cross what members do by themselves.

use super::*;

#[test]
fn a_restarted_control_plane_moves_nobody_whatever_was_planned_before() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    world.kill("hall-1");
    world.run(40);
    let before = world.feeders();
    let differs = |(name, process): (&String, &Process)| {
        let entry = world.roster.entry(name).unwrap();
        entry.config.parents.first().map(|p| &p.name) != process.parents.first()
    };
    assert!(
        world.running.iter().any(differs),
        "plans differ from static ones"
    );
    world.restart_control(Limits::default());
    assert_eq!(world.run(60), 0);
    assert_eq!(world.feeders(), before);
}

#[test]
fn a_restarted_control_plane_moves_nobody_even_where_moves_were_due() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    world.kill("hall-1");
    world.run(40);
    world.start("hall-1");
    let before = world.feeders();
    world.restart_control(Limits::default());
    assert_eq!(world.run(300), 0, "nothing has changed since");
    assert_eq!(world.feeders(), before);
    // The next change of the world ends that: another hall dies, and its orphans are spread.
    world.kill("hall-0");
    world.run(60);
    world.start("hall-0");
    assert!(world.run(120) > 0);
    assert!(world.children("hall-1") > 0);
    assert!(world.is_within_fan_out());
}

#[test]
fn a_restarted_control_plane_still_plans_for_whom_nobody_feeds_and_for_the_overfull() {
    let mut world = World::new(&[("root", 2, 8), ("hall", 3, 4), ("edge", 8, 0)]);
    world.run(5);
    world.kill("hall-1");
    world.run(1);
    let crowd: Vec<String> = (0..8).map(|n| format!("edge-{n}")).collect();
    for edge in &crowd {
        world.running.get_mut(edge).unwrap().feeder = "hall-0".to_owned();
    }
    world.start("hall-1");
    assert!(!world.is_within_fan_out());
    world.restart_control(Limits::default());
    assert_eq!(world.run(40), 0, "it listens first");
    assert!(world.run(60) > 0);
    assert!(world.is_within_fan_out());
}

#[test]
fn a_plan_that_crosses_a_repair_does_not_undo_it() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    let edge = "edge-0";
    let parents = world.running[edge].parents.clone();
    let process = world.running.get_mut(edge).unwrap();
    process.feeder.clone_from(&parents[1]);
    // Told before the report of the repair came: the same first parent, others behind it.
    let crossed = [&parents[0], &parents[2], &parents[1]].map(|name| v1::Peer {
        name: name.clone(),
        uri: String::new(),
    });
    let config = v1::Config {
        parents: crossed.to_vec(),
        ..Default::default()
    };
    let reach = Reach {
        alive: world.running.keys().cloned().collect(),
        cut: BTreeSet::new(),
    };
    let process = world.running.get_mut(edge).unwrap();
    take(edge, process, config, &mut world.moved, &reach);
    assert!(world.moved.is_empty());
    // Control says that it is well before it says that it should be otherwise.
    world.second();
    world.second();
    world.second();
    assert_eq!(world.running[edge].feeder, parents[1]);
    assert_eq!(world.running[edge].parents[0], parents[1]);
}

#[test]
fn who_was_given_parents_by_hand_is_told_no_others() {
    let mut world = World::new(CAMPUS);
    let edge = "edge-0";
    let process = world.running.get_mut(edge).unwrap();
    process.fixed = true;
    process.parents = vec!["hall-1".to_owned()];
    process.feeder = "hall-1".to_owned();
    world.run(30);
    let before = world.running[edge].plan;
    world.kill("hall-1");
    world.run(60);
    assert_eq!(world.running[edge].parents, ["hall-1"]);
    assert_eq!(world.running[edge].plan, before, "told nothing more");
    world.start("hall-1");
    world.run(60);
    assert_eq!(world.running[edge].feeder, "hall-1");
    assert_eq!(world.run(60), 0);
}
