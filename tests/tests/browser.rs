//! A real browser: headless Chromium opens the page of campus.yaml and plays it; `tests/browser/play.mjs` judges by
//! media time lost and keeps a screenshot under `artifacts/`.

use std::process::{Command, Stdio};

use banyan_tests::{Overlay, Stopwatch, fixtures, workspace};

/// Exit code of `play.mjs` for "this machine was too busy to tell".
const INCONCLUSIVE: i32 = 3;

#[test]
fn chromium_plays_the_page() {
    let watch = Stopwatch::start("browser");
    let script = workspace().join("tests/browser/play.mjs");
    for (missing, what) in [
        (!fixtures::has_tool("node"), "node is not installed"),
        (
            !fixtures::has_tool("chromium"),
            "chromium is not installed; run scripts/setup.sh",
        ),
        (
            !workspace()
                .join("tests/browser/node_modules/playwright-core")
                .is_dir(),
            "run npm ci in tests/browser",
        ),
    ] {
        if missing {
            fixtures::skip("chromium_plays_the_page", what);
            return;
        }
    }
    let artifacts = workspace().join("artifacts");
    std::fs::create_dir_all(&artifacts).expect("artifacts/ must be creatable");
    let overlay = Overlay::from("examples/campus.yaml").up();
    watch.lap("ready");
    let output = Command::new("node")
        .arg(&script)
        .args([
            "--page",
            &overlay.page(),
            "--for",
            "15",
            "--within",
            "90",
            "--out",
        ])
        .arg(&artifacts)
        .stdin(Stdio::null())
        .output()
        .expect("node must start");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{}", said.trim_end());
    match output.status.code() {
        Some(0) => {}
        // The machine, not the product: never a pass, never a failure.
        Some(INCONCLUSIVE) => println!(
            "SKIP chromium_plays_the_page: INCONCLUSIVE, this machine was too busy to tell"
        ),
        _ => panic!("play.mjs ended with {}", output.status),
    }
}
