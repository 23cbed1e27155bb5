//! `banyan origins`: the content servers as the control plane or one root sees them.

use std::fmt::Write;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::commands;
use crate::exit::Refusal;
use crate::up::client::Client;

/// Show the content servers: what each holds, what it measures, and whether it may feed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// URL of the control plane, or of one root for that root's own measurements
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18000")]
    url: String,
    /// Print the rows as one line of JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  banyan origins
  banyan origins --url http://127.0.0.1:18006 --json

A metric is latency, loss and load weighed by the topology's originSelection; lower is better.
States: Active = feeds streams, Standby = may be selected, Ineligible = may not, for the reason
beside it (NotPrepared, ClockSkew, Draining), Silent = no heartbeats.";

/// One row of `/api/origins`.
#[derive(Debug, Deserialize, Serialize)]
struct Row {
    source: String,
    metric: u32,
    contents: Vec<String>,
    state: String,
    #[serde(default)]
    reason: String,
    rtt_us: u32,
    late_permille: u32,
    load_permille: u32,
    #[serde(default)]
    clock_offset_us: i64,
    feeds: Vec<String>,
    #[serde(default)]
    preparing: Vec<Preparing>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Preparing {
    content: String,
    permille: u32,
    remaining_ms: u64,
    error: String,
}

/// Asks and prints.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let base = args.url.trim_end_matches('/');
    let uri = base.parse::<http::Uri>().ok();
    if uri.is_none_or(|uri| uri.scheme_str() != Some("http") || uri.authority().is_none()) {
        return Err(Refusal::one(format!(
            "URL {:?} cannot be used; http://HOST:PORT is accepted",
            args.url
        )));
    }
    let rows: Vec<Row> = Client::new().json(&format!("{base}/api/origins")).await?;
    let text = if args.json {
        serde_json::to_string(&rows)? + "\n"
    } else {
        table(&rows)
    };
    commands::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

const HEADS: [&str; 9] = [
    "SOURCE", "METRIC", "STATE", "REASON", "RTT", "LATE", "LOAD", "CLOCK", "CONTENTS",
];

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no content server is known\n".to_owned();
    }
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|at| lines.iter().map(|line| line[at].chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(row, "{cell:<width$}  ");
        }
        text += row.trim_end();
        text.push('\n');
    }
    text
}

impl Row {
    fn cells(&self) -> [String; 9] {
        let heard = self.state != "Silent";
        let measured = |text: String| if heard { text } else { "-".to_owned() };
        [
            self.source.clone(),
            measured(self.metric.to_string()),
            self.state.clone(),
            match self.reason.as_str() {
                "" => "-".to_owned(),
                reason => reason.to_owned(),
            },
            match self.rtt_us {
                // Not measured yet: it counts as the worst.
                0 => "-".to_owned(),
                us => measured(format!("{:.1} ms", f64::from(us) / 1000.0)),
            },
            measured(percent(self.late_permille)),
            measured(percent(self.load_permille)),
            measured(format!("{:+} ms", -self.clock_offset_us / 1000)),
            self.contents(),
        ]
    }

    /// What it offers, what of it feeds somebody now, and what is being prepared.
    fn contents(&self) -> String {
        let offered = self.contents.iter().map(|name| {
            if self.feeds.contains(name) {
                format!("{name} (feeds)")
            } else {
                name.clone()
            }
        });
        let preparing = self.preparing.iter().map(|p| {
            if p.error.is_empty() {
                format!("{} ({} prepared)", p.content, percent(p.permille))
            } else {
                format!("{} (failed: {})", p.content, p.error)
            }
        });
        let all: Vec<String> = offered.chain(preparing).collect();
        if all.is_empty() {
            return "-".to_owned();
        }
        all.join(", ")
    }
}

fn percent(permille: u32) -> String {
    format!("{:.1} %", f64::from(permille) / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_says_what_it_measures_and_why_it_may_not_feed() {
        let json = r#"[
            {"source":"lisbon","metric":12,"contents":["clock","news"],"state":"Active","reason":"",
             "rtt_us":1500,"late_permille":3,"load_permille":250,"clock_offset_us":-1000,
             "feeds":["clock"],"preparing":[]},
            {"source":"porto","metric":30,"contents":[],"state":"Ineligible","reason":"NotPrepared",
             "rtt_us":400,"late_permille":0,"load_permille":10,"clock_offset_us":0,"feeds":[],
             "preparing":[{"content":"clock","permille":415,"remaining_ms":9000,"error":""}]},
            {"source":"faro","metric":0,"contents":[],"state":"Silent",
             "rtt_us":0,"late_permille":0,"load_permille":0,"feeds":[]}
        ]"#;
        let rows: Vec<Row> = serde_json::from_str(json).unwrap();
        let expected = "\
SOURCE  METRIC  STATE       REASON       RTT     LATE   LOAD    CLOCK  CONTENTS
lisbon  12      Active      -            1.5 ms  0.3 %  25.0 %  +1 ms  clock (feeds), news
porto   30      Ineligible  NotPrepared  0.4 ms  0.0 %  1.0 %   +0 ms  clock (41.5 % prepared)
faro    -       Silent      -            -       -      -       -      -
";
        assert_eq!(table(&rows), expected);
        assert_eq!(table(&[]), "no content server is known\n");
    }
}
