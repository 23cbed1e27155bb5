//! The release that everything begins with: today's chart with definitions as an earlier version could have had them.

use std::path::{Path, PathBuf};
use std::process::Command;

use banyan_tests::workspace;
use serde_yaml_ng::Value;

/// The definition that is another one.
pub(super) const DEFINITION: &str = "streamtopologies.banyan.media";
/// A field of the spec that it lacks.
pub(super) const FIELD: &str = "paused";
/// A column that it lacks.
pub(super) const COLUMN: &str = "ADDRESS";

/// A copy of the chart whose definition of StreamTopology lacks a field and a column.
pub(super) fn chart() -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("earlier/banyan");
    let _ = std::fs::remove_dir_all(&copy);
    std::fs::create_dir_all(&copy).expect("a folder must be made");
    let copied = Command::new("cp")
        .arg("-rT")
        .args([&workspace().join("charts/banyan"), &copy])
        .status()
        .expect("cp must start");
    assert!(copied.success());

    let path = copy.join(format!("files/crds/{DEFINITION}.yaml"));
    let text = std::fs::read_to_string(&path).expect("the chart must have the definition");
    let mut definition: Value = serde_yaml_ng::from_str(&text).expect("a definition must be YAML");
    let version = &mut definition["spec"]["versions"][0];
    let fields = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    let fields = fields.as_mapping_mut().expect("the spec must have fields");
    assert!(
        fields.remove(FIELD).is_some(),
        "there must be a {FIELD} to lack"
    );
    let columns = version["additionalPrinterColumns"]
        .as_sequence_mut()
        .expect("there must be columns");
    let all = columns.len();
    columns.retain(|column| column["name"] != COLUMN);
    assert_eq!(
        columns.len() + 1,
        all,
        "there must be a column {COLUMN} to lack"
    );
    // As JSON, which helm reads as YAML: it takes an unquoted y for true.
    let text = serde_json::to_string(&definition).expect("a definition must be writable");
    std::fs::write(&path, text).expect("a copy must be writable");
    copy
}
