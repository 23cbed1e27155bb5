//! Layer L4: the real programs in network namespaces, on links as the manifest says. Every test ends with nothing left
//! on the machine: no process, device, namespace, route, mount.

mod core;
mod experiments;
mod scenarios;
mod verbs;

use banyan_tests::testbed::{Machine, Testbed, check};
use banyan_tests::{Stopwatch, workspace};

#[test]
fn every_kind_of_link_is_as_the_manifest_says() {
    let watch = Stopwatch::start("testbed: links");
    let before = Machine::now();
    let folder = tempfile::tempdir().expect("a temporary folder must be creatable");
    let manifest = workspace().join("tests/manifests/link-truth.yaml");
    let Some((good, report)) = check("testbed: links", &manifest, folder.path()) else {
        return;
    };
    for way in report["ways"].as_array().expect("ways must be a list") {
        println!("  {} > {}: {}", way["from"], way["to"], way["seen"]);
    }
    println!("  lateness: {}", report["lateness"]);
    assert!(good, "{}", report["faults"]);
    // Seven links of the hub, that of control, two ways through the switch and one through both; both directions of each.
    assert_eq!(report["ways"].as_array().map(Vec::len), Some(22));
    assert_eq!(Machine::now(), before, "measuring left something behind");
    watch.lap("22 ways measured");
}

#[test]
fn every_verb_does_what_it_says_and_the_kernel_takes_all_down_when_the_owner_is_killed() {
    let watch = Stopwatch::start("testbed: verbs");
    let Some(testbed) = Testbed::up("testbed: verbs", "examples/scenario-a.yaml", &[]) else {
        return;
    };
    watch.lap("up");
    verbs::capture(&testbed);
    watch.lap("captured");
    verbs::links(&testbed);
    watch.lap("links changed");
    verbs::members(&testbed);
    watch.lap("members hurt");
    testbed.kill();
}
