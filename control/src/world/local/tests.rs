//! Real processes: `/bin/sh` plays the members.

use std::sync::Mutex;

use super::*;
use crate::layout::File;
use crate::roster::Role;

type Lines = Arc<Mutex<Vec<String>>>;

fn world() -> (Local, Lines) {
    let lines = Lines::default();
    let sink = lines.clone();
    let sh = PathBuf::from("/bin/sh");
    let world = Local::new(
        Programs {
            control: sh.clone(),
            relay: sh.clone(),
            origin: sh,
        },
        BTreeMap::from([("WORD".to_owned(), "from the world".to_owned())]),
        Arc::new(move |member, line| {
            sink.lock().unwrap().push(format!("{member}: {line}"));
        }),
    );
    (world, lines)
}

fn member(name: &str, script: &str) -> Member {
    Member {
        name: name.to_owned(),
        role: Role::Relay,
        tier: "core".to_owned(),
        program: Program::Relay,
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: BTreeMap::new(),
        files: Vec::new(),
        ports: Vec::new(),
    }
}

async fn until(lines: &Lines, wanted: &str) {
    let found = async {
        while !lines.lock().unwrap().iter().any(|line| line == wanted) {
            tokio::task::yield_now().await;
        }
    };
    let bound = tokio::time::timeout(Duration::from_secs(20), found).await;
    assert!(
        bound.is_ok(),
        "no {wanted:?} in {:?}",
        lines.lock().unwrap()
    );
}

#[tokio::test]
async fn files_are_there_before_the_member_runs_and_its_output_is_prefixed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/config.json");
    let (mut world, lines) = world();
    let mut cat = member(
        "core-0",
        &format!("cat {} >&2; echo $WORD >&2; exit 3", path.display()),
    );
    cat.files.push(File {
        path: path.display().to_string(),
        contents: "contents".to_owned(),
    });
    world.start(&cat).await.unwrap();
    let ended = world.observe().await;
    assert_eq!(ended.member, "core-0");
    assert_eq!(ended.exit, Exit::Code(3));
    assert_eq!(
        lines.lock().unwrap().concat(),
        "core-0: contentsfrom the world"
    );
}

#[tokio::test]
async fn a_member_that_heeds_the_request_ends_by_itself_and_one_that_does_not_is_killed() {
    let (mut world, lines) = world();
    let polite = "trap 'exit 0' TERM INT; echo up >&2; while :; do read x || :; done";
    let deaf = "trap '' TERM INT; echo up >&2; while :; do read x || :; done";
    world.start(&member("polite", polite)).await.unwrap();
    world.start(&member("deaf", deaf)).await.unwrap();
    until(&lines, "polite: up").await;
    until(&lines, "deaf: up").await;
    let names = ["polite", "deaf", "nobody"].map(String::from);
    let mut ended = world.stop(&names, Duration::from_millis(400)).await;
    ended.sort_by(|a, b| a.member.cmp(&b.member));
    let exits: Vec<_> = ended.iter().map(|e| (e.member.as_str(), e.exit)).collect();
    assert_eq!(
        exits,
        [("deaf", Exit::Signal(9)), ("polite", Exit::Code(0))]
    );
}

#[tokio::test]
async fn members_that_ended_unseen_do_not_stand_in_for_those_still_leaving() {
    let (mut world, lines) = world();
    let slow = "trap 'sleep 0.2; exit 7' TERM INT; echo up >&2; while :; do read x || :; done";
    world.start(&member("slow", slow)).await.unwrap();
    world
        .start(&member("brief", "echo gone >&2; exit 1"))
        .await
        .unwrap();
    until(&lines, "slow: up").await;
    until(&lines, "brief: gone").await;
    let brief = async {
        while world.running["brief"]
            .stop
            .as_ref()
            .is_some_and(|stop| !stop.is_closed())
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), brief)
        .await
        .unwrap();
    let names = ["slow", "brief"].map(String::from);
    let ended = world.stop(&names, Duration::from_secs(20)).await;
    let slow = ended.iter().find(|one| one.member == "slow");
    assert_eq!(slow.map(|one| one.exit), Some(Exit::Code(7)));
}

#[tokio::test]
async fn children_see_their_input_end_when_the_world_is_gone_without_a_word() {
    let (mut world, lines) = world();
    world
        .start(&member("core-0", "echo $$ >&2; exec cat"))
        .await
        .unwrap();
    let pid = async {
        loop {
            if let Some(line) = lines.lock().unwrap().first() {
                break line.trim_start_matches("core-0: ").to_owned();
            }
            tokio::task::yield_now().await;
        }
    };
    let pid = tokio::time::timeout(Duration::from_secs(20), pid)
        .await
        .unwrap();
    drop(world);
    let gone = async {
        while Path::new(&format!("/proc/{pid}/cmdline"))
            .exists()
            .then(|| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
            .is_some_and(|line| !line.is_empty())
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let (mut world, _) = world();
    world.programs.relay = PathBuf::from("/nowhere/banyan-relay");
    let error = world.start(&member("core-0", "")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start \"/nowhere/banyan-relay\" for core-0"
    );
}
