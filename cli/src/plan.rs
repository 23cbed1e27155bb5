//! `banyan plan`: the tree that a manifest makes, as text, and why it is this one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use banyan_control::layout;
use banyan_planner::{Input, Measurements, Plan, Tree};

use crate::exit::Refusal;
use crate::{commands, scenario};

/// Show who feeds whom, and why.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The manifest
    #[arg(short = 'f', long = "file", value_name = "MANIFEST")]
    manifest: PathBuf,
    /// Measured links, places and demand, as JSON
    #[arg(long, value_name = "FILE")]
    measurements: Option<PathBuf>,
    /// Say why each choice won
    #[arg(long)]
    explain: bool,
    /// Print the whole plan as JSON
    #[arg(long, conflicts_with = "explain")]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  banyan plan -f examples/campus.yaml
  banyan plan -f examples/campus.yaml --measurements m.json --explain

Measurements:
  {\"relays\": [{\"name\": \"edge-0\", \"zone\": \"north\", \"host\": \"rack-7\"}],
   \"links\":  [{\"from\": \"core-0\", \"to\": \"edge-0\", \"rtt_us\": 1800, \"loss_permille\": 2}],
   \"demand\": [{\"relay\": \"edge-0\", \"streams\": [\"clock\"]}]}";

/// Plans and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scenario = scenario::from_manifest(&args.manifest, None)?;
    let mut input = layout::planner_input(&scenario.topology, &scenario.servers);
    if let Some(path) = &args.measurements {
        let refuse = |error| Refusal::one(format!("measurements {path:?}: {error}"));
        input.apply(&measurements(path)?).map_err(refuse)?;
    }
    let plan = banyan_planner::plan(&input, None)
        .map_err(|error| Refusal::one(format!("topology {:?}: {error}", scenario.topology.name)))?;
    let text = if args.json {
        serde_json::to_string_pretty(&plan)? + "\n"
    } else {
        let mut text = picture(&scenario.topology.name, &input, &plan);
        if args.explain {
            text += &format!("\nWhy\n{}", indented(&plan.explain_all()));
        }
        text
    };
    commands::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn measurements(path: &Path) -> anyhow::Result<Measurements> {
    let refuse = |why: String| Refusal::one(format!("measurements {path:?} {why}"));
    let bytes = std::fs::read(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| refuse(format!("are not as expected: {error}")))
}

fn picture(topology: &str, input: &Input, plan: &Plan) -> String {
    let mut text = format!("Topology {topology}: {} relays\n", input.relays.len());
    for (stream, tree) in &plan.trees {
        let origins = match tree.origins.as_slice() {
            [] => "no content server".to_owned(),
            origins => origins.join(", "),
        };
        write_line(&mut text, &format!("\nStream {stream}, from {origins}"));
        draw(&mut text, tree);
    }
    text
}

/// One line per member, children under their parent.
fn draw(text: &mut String, tree: &Tree) {
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (child, join) in &tree.joins {
        let siblings = children.entry(join.parent().as_str()).or_default();
        siblings.push(child.as_str());
    }
    write_line(text, tree.carrier.as_str());
    branch(text, &children, tree.carrier.as_str(), "");
}

fn branch(text: &mut String, children: &BTreeMap<&str, Vec<&str>>, parent: &str, indent: &str) {
    let mine = children.get(parent).map(Vec::as_slice).unwrap_or_default();
    for (index, child) in mine.iter().enumerate() {
        let (arm, next) = match index + 1 == mine.len() {
            true => ("└─ ", "   "),
            false => ("├─ ", "│  "),
        };
        write_line(text, &format!("{indent}{arm}{child}"));
        branch(text, children, child, &format!("{indent}{next}"));
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn write_line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
