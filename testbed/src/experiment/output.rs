//! Results as files: CSV of what was done, of viewers, links and switches, of every run and of all repetitions, and the
//! page. Names and texts; whoever asks writes them.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::analysis::MEASURES;
use super::conduct::{Job, Outcome, Run};
use super::statistics::{self, Summary};
use super::svg::number;
use super::{page, plots};

/// Everything that is known in the end.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// What was to be run.
    pub job: &'a Job,
    /// What was.
    pub runs: &'a [Run],
    /// SHA-256 of the experiment's file, in hexadecimal digits.
    pub experiment_digest: &'a str,
    /// SHA-256 of the manifests.
    pub manifest_digest: &'a str,
    /// Name and version of the program.
    pub program: &'a str,
}

/// A file of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Results<'_> {
    /// All files.
    pub fn files(&self) -> Vec<File> {
        let mut files = Vec::new();
        let mut file = |name: &str, text: String| {
            let name = name.to_owned();
            files.push(File { name, text });
        };
        file("events.csv", self.events_csv());
        file("viewers.csv", self.viewers_csv());
        file("links.csv", self.links_csv());
        file("switches.csv", self.switches_csv());
        file("runs.csv", self.runs_csv());
        file("summary.csv", self.summary_csv());
        for measure in MEASURES {
            if let Some(svg) = plots::of_measure(self, measure) {
                file(&format!("{}.svg", measure.key), svg);
            }
        }
        file("report.html", page::html(self));
        files
    }

    /// One object: variants with each measure's median and interval.
    pub fn json(&self) -> serde_json::Value {
        let variants = self.job.variants.iter().enumerate();
        let variants: Vec<_> = variants
            .zip(self.summaries())
            .map(|((index, variant), summaries)| {
                let failed = self.of(index).filter(|run| run.outcome.is_err()).count();
                serde_json::json!({
                    "variant": variant.name,
                    "runs": self.of(index).count(),
                    "failed": failed,
                    "measures": summaries,
                })
            })
            .collect();
        serde_json::json!({
            "experiment": self.job.experiment.name,
            "seed": self.job.experiment.seed,
            "experiment_sha256": self.experiment_digest,
            "manifest_sha256": self.manifest_digest,
            "variants": variants,
        })
    }

    /// For each variant, each measure over its repetitions.
    pub fn summaries(&self) -> Vec<BTreeMap<&'static str, Summary>> {
        let of = |index| {
            let outcomes: Vec<&Outcome> = self.outcomes(index).map(|(_, one)| one).collect();
            let summaries = MEASURES.iter().filter_map(|measure| {
                let values = outcomes.iter().map(|one| &one.figures.values);
                let samples: Vec<f64> = values
                    .filter_map(|values| values.get(measure.key).copied())
                    .collect();
                Some((measure.key, statistics::summary(&samples)?))
            });
            summaries.collect()
        };
        (0..self.job.variants.len()).map(of).collect()
    }

    /// Median bytes of every link direction, `from>to`.
    pub(super) fn link_medians(&self, variant: usize) -> Vec<(String, f64)> {
        let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (_, outcome) in self.outcomes(variant) {
            for count in &outcome.figures.links {
                for (side, direction) in count.directions.iter().enumerate() {
                    let name = direction_name(&count.link, side);
                    samples
                        .entry(name)
                        .or_default()
                        .push(direction.bytes as f64);
                }
            }
        }
        samples
            .into_iter()
            .filter_map(|(name, samples)| Some((name, statistics::summary(&samples)?.median)))
            .collect()
    }

    /// Runs of a variant.
    pub(super) fn of(&self, variant: usize) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.variant == variant)
    }

    fn outcomes(&self, variant: usize) -> impl Iterator<Item = (&Run, &Outcome)> {
        self.of(variant)
            .filter_map(|run| Some((run, run.outcome.as_ref().ok()?)))
    }

    fn name(&self, run: &Run) -> &str {
        let variant = self.job.variants.get(run.variant);
        variant.map_or("", |variant| variant.name.as_str())
    }

    /// Rows of every run that came to something.
    fn rows(&self, header: &str, of: impl Fn(&Outcome) -> Vec<Vec<String>>) -> String {
        let mut text = format!("variant,repetition,{header}\n");
        for run in self.runs {
            let Ok(outcome) = &run.outcome else {
                continue;
            };
            for row in of(outcome) {
                let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
                // Writing into a String cannot fail.
                let _ = writeln!(
                    text,
                    "{},{},{}",
                    quoted(self.name(run)),
                    run.repetition,
                    cells.join(",")
                );
            }
        }
        text
    }

    fn events_csv(&self) -> String {
        let header = "at_ms,begun_ms,done_ms,unix_ms,action,target,detail,hurts";
        self.rows(header, |outcome| {
            let done = outcome.done.iter();
            done.map(|done| {
                vec![
                    done.at_ms.to_string(),
                    done.begun_ms.to_string(),
                    done.done_ms.to_string(),
                    (outcome.started.unix_ms + done.begun_ms).to_string(),
                    done.action.verb().to_owned(),
                    done.action.target().to_owned(),
                    done.action.detail(),
                    u8::from(done.hurts).to_string(),
                ]
            })
            .collect()
        })
    }

    fn viewers_csv(&self) -> String {
        let header = "viewer,node,stream,reported,startup_ms,played_ms,stalls,stalled_ms,latency_p50_ms,latency_p95_ms,bytes,chunks,lost,repeated,out_of_order,switches,faults,mean_bitrate_bps,rendition_changes,renditions";
        self.rows(header, |outcome| {
            let viewers = outcome.figures.viewers.iter();
            viewers
                .map(|viewer| {
                    let reported = u8::from(viewer.report.is_some()).to_string();
                    let report = viewer.report.clone().unwrap_or_default();
                    let mut row = vec![viewer.viewer.clone(), viewer.node.clone()];
                    row.extend([viewer.stream.clone(), reported, some(report.startup_ms)]);
                    let times = [report.played_ms, report.stalls, report.stalled_ms];
                    row.extend(times.map(|value| value.to_string()));
                    row.extend([some(report.latency_ms.p50), some(report.latency_ms.p95)]);
                    let counts = [
                        report.bytes,
                        report.chunks,
                        report.lost,
                        report.repeated,
                        report.out_of_order,
                        report.switches,
                        report.fault_count,
                    ];
                    row.extend(counts.map(|value| value.to_string()));
                    let segments = report.renditions.iter();
                    let segments: Vec<String> =
                        segments.map(|(name, n)| format!("{name}={n}")).collect();
                    row.push(some(report.mean_bitrate_bps));
                    row.push(report.rendition_changes.to_string());
                    row.push(segments.join(" "));
                    row
                })
                .collect()
        })
    }

    fn links_csv(&self) -> String {
        self.rows("link,direction,bytes,packets,lost,full,cut", |outcome| {
            let links = outcome.figures.links.iter();
            links
                .flat_map(|count| {
                    count.directions.iter().enumerate().map(|(side, one)| {
                        let mut row = vec![count.link.clone(), direction_name(&count.link, side)];
                        let counts = [one.bytes, one.packets, one.lost, one.full, one.cut];
                        row.extend(counts.map(|value| value.to_string()));
                        row
                    })
                })
                .collect()
        })
    }

    fn switches_csv(&self) -> String {
        self.rows("at_ms,member,track,from,to,cause", |outcome| {
            let switches = outcome.figures.switches.iter();
            switches
                .map(|one| {
                    let words = [&one.member, &one.track, &one.from, &one.to, &one.cause];
                    let mut row = vec![one.at_ms.to_string()];
                    row.extend(words.map(String::clone));
                    row
                })
                .collect()
        })
    }

    fn runs_csv(&self) -> String {
        let keys: Vec<&str> = MEASURES.iter().map(|measure| measure.key).collect();
        let mut text = format!("variant,repetition,seed,failure,{}\n", keys.join(","));
        for run in self.runs {
            let none = BTreeMap::new();
            let (values, failure) = match &run.outcome {
                Ok(outcome) => (&outcome.figures.values, ""),
                Err(failure) => (&none, failure.as_str()),
            };
            let cells: Vec<String> = keys
                .iter()
                .map(|key| values.get(key).map(f64::to_string).unwrap_or_default())
                .collect();
            let _ = writeln!(
                text,
                "{},{},{},{},{}",
                quoted(self.name(run)),
                run.repetition,
                run.seed,
                quoted(failure),
                cells.join(",")
            );
        }
        text
    }

    /// Medians and intervals for a terminal: what is 0 throughout is left out, but for lost and repeated chunks.
    pub fn table(&self) -> String {
        let summaries = self.summaries();
        let mut rows = vec![["", "VARIANT", "MEDIAN", "INTERVAL"].map(str::to_owned)];
        for measure in MEASURES {
            let of = summaries.iter().map(|one| one.get(measure.key));
            let told = |one: &Summary| one.high != 0.0 || ALWAYS.contains(&measure.key);
            if !of.clone().flatten().any(told) {
                continue;
            }
            let mut title = measure.title;
            for (variant, summary) in self.job.variants.iter().zip(of) {
                let Some(summary) = summary else { continue };
                let [median, low, high] = [summary.median, summary.low, summary.high]
                    .map(|value| number(value, measure.unit));
                let name = variant.name.clone();
                rows.push([title.to_owned(), name, median, format!("{low} … {high}")]);
                title = "";
            }
        }
        let widths = [0, 1, 2].map(|column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        });
        let [first, second, third] = widths;
        let line = |[title, variant, median, interval]: &[String; 4]| {
            format!("{title:<first$}  {variant:<second$}  {median:>third$}  {interval}\n")
        };
        rows.iter().map(line).collect()
    }

    fn summary_csv(&self) -> String {
        let mut text = "variant,measure,unit,n,median,low,high,coverage\n".to_owned();
        for (variant, summaries) in self.job.variants.iter().zip(self.summaries()) {
            for measure in MEASURES {
                if let Some(one) = summaries.get(measure.key) {
                    let _ = writeln!(
                        text,
                        "{},{},{},{},{},{},{},{:.4}",
                        quoted(&variant.name),
                        measure.key,
                        measure.unit,
                        one.n,
                        one.median,
                        one.low,
                        one.high,
                        one.coverage
                    );
                }
            }
        }
        text
    }
}

/// Measures whose 0 is worth a line.
const ALWAYS: [&str; 2] = ["lost", "repeated"];

/// SHA-256 of a text in hexadecimal digits.
pub fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing into a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// A link's direction by its ends; `a--b#2` is the second link between the two.
fn direction_name(link: &str, side: usize) -> String {
    let (ends, second) = link.split_once('#').unwrap_or((link, ""));
    let (one, other) = ends.split_once("--").unwrap_or((ends, ""));
    let mark = if second.is_empty() { "" } else { "#" };
    match side {
        0 => format!("{one}>{other}{mark}{second}"),
        _ => format!("{other}>{one}{mark}{second}"),
    }
}

fn some(value: Option<u64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A cell as RFC 4180 wants it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
