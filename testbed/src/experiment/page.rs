//! The page of an experiment: one HTML file with everything in it, to be kept beside the figures or sent to somebody.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::analysis::MEASURES;
use super::output::Results;
use super::plots;
use super::statistics::Summary;
use super::svg::{escaped, number};

/// The page.
pub fn html(results: &Results<'_>) -> String {
    let experiment = &results.job.experiment;
    let name = escaped(&experiment.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n<p>{}</p>\n",
        escaped(&experiment.about)
    );
    facts(&mut page, results);
    table(&mut page, results);
    // Writing into a String cannot fail.
    let _ = writeln!(page, "<h2>Plots</h2>\n<p>{METHOD}</p>");
    for measure in MEASURES {
        if let Some(svg) = plots::of_measure(results, measure) {
            let _ = writeln!(page, "<figure>{svg}</figure>");
        }
    }
    let _ = writeln!(page, "<h2>Links</h2>");
    for index in 0..results.job.variants.len() {
        if let Some(svg) = plots::of_links(results, index) {
            let _ = writeln!(page, "<figure>{svg}</figure>");
        }
    }
    schedule(&mut page, results);
    page.push_str("</body>\n</html>\n");
    page
}

fn facts(page: &mut String, results: &Results<'_>) {
    let experiment = &results.job.experiment;
    let started = || {
        let runs = results.runs.iter();
        runs.filter_map(|run| Some((run, run.outcome.as_ref().ok()?)))
    };
    let distinct = |of: fn(&super::world::Started) -> &str| {
        let words: BTreeSet<&str> = started().map(|(_, one)| of(&one.started)).collect();
        words.into_iter().collect::<Vec<_>>().join(", ")
    };
    let failed = results
        .runs
        .iter()
        .filter(|run| run.outcome.is_err())
        .count();
    let late: Vec<_> = started().filter_map(|(_, one)| one.figures.late).collect();
    let invalid = late.iter().filter(|late| !late.valid).count();
    let worst = late.iter().map(|late| late.p99_us).max();
    let mut seeds: Vec<(u32, u64)> = results
        .runs
        .iter()
        .map(|r| (r.repetition, r.seed))
        .collect();
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(|(_, seed)| seed.to_string()).collect();
    let rows = [
        ("program", results.program.to_owned()),
        ("experiment, SHA-256", results.experiment_digest.to_owned()),
        ("manifest", experiment.manifest.clone()),
        ("manifest, SHA-256", results.manifest_digest.to_owned()),
        ("kernel", distinct(|one| &one.kernel)),
        ("links by", distinct(|one| &one.backend)),
        (
            "congestion control",
            distinct(|one| &one.congestion_control),
        ),
        ("length of a run", experiment.duration.to_string()),
        ("repetitions", experiment.repetitions.to_string()),
        ("seed", experiment.seed.to_string()),
        ("seeds of repetitions", seeds.join(", ")),
        (
            "runs",
            format!(
                "{} of {}, {failed} failed",
                results.runs.len(),
                results.job.runs.len()
            ),
        ),
        (
            "lateness of links",
            match worst {
                Some(us) => format!(
                    "99 of 100 packets at most {us} us late in the worst run; {invalid} of {} runs were later than their bound and say little about delay",
                    late.len()
                ),
                None => "not known in this world".to_owned(),
            },
        ),
    ];
    page.push_str("<table class=\"facts\">\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
    }
    page.push_str("</table>\n");
    let failures = results.runs.iter().filter_map(|run| {
        let failure = run.outcome.as_ref().err()?;
        let variant = results.job.variants.get(run.variant)?;
        Some(format!(
            "{}, repetition {}: {failure}",
            variant.name, run.repetition
        ))
    });
    for failure in failures {
        let _ = writeln!(page, "<p class=\"bad\">{}</p>", escaped(&failure));
    }
}

fn table(page: &mut String, results: &Results<'_>) {
    page.push_str("<h2>Median and 95 % interval</h2>\n<table>\n<tr><th></th>");
    for variant in &results.job.variants {
        let _ = write!(page, "<th>{}</th>", escaped(&variant.name));
    }
    page.push_str("</tr>\n");
    let summaries = results.summaries();
    for measure in MEASURES {
        if !summaries.iter().any(|one| one.contains_key(measure.key)) {
            continue;
        }
        let _ = write!(page, "<tr><th>{}</th>", measure.title);
        for one in &summaries {
            let cell = one.get(measure.key).map(|one| cell(one, measure.unit));
            let _ = write!(page, "<td>{}</td>", cell.unwrap_or_else(|| "–".to_owned()));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

fn cell(summary: &Summary, unit: &str) -> String {
    let Summary {
        n,
        median,
        low,
        high,
        coverage,
    } = summary;
    format!(
        "{}<br><small>{} … {}, n = {n}, {:.1} %</small>",
        number(*median, unit),
        number(*low, unit),
        number(*high, unit),
        coverage * 100.0
    )
}

/// What is done in the first repetition, one table per variant.
fn schedule(page: &mut String, results: &Results<'_>) {
    page.push_str("<h2>Schedule of the first repetition</h2>\n");
    for planned in results.job.runs.iter().filter(|run| run.repetition == 1) {
        let variant = results.job.variants.get(planned.variant);
        let name = variant.map_or("", |variant| variant.name.as_str());
        let absent = match planned.schedule.absent.as_slice() {
            [] => String::new(),
            absent => format!(", without {}", absent.join(", ")),
        };
        let _ = writeln!(
            page,
            "<details><summary>{}{}</summary>\n<table>\n<tr><th>ms</th><th>what</th><th>to</th><th></th></tr>",
            escaped(name),
            escaped(&absent)
        );
        for step in &planned.schedule.steps {
            let _ = writeln!(
                page,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                step.at_ms,
                step.action.verb(),
                escaped(step.action.target()),
                escaped(&step.action.detail())
            );
        }
        page.push_str("</table></details>\n");
    }
}

const METHOD: &str = "Bars and points are medians over repetitions; whiskers are exact order-statistic intervals of the median, which assume nothing about the distribution. Their coverage is given in the table: five repetitions reach 93.8 %, six 96.9 %.";

const STYLE: &str = "body{font-family:sans-serif;max-width:960px;margin:2em auto;padding:0 1em;color:#1b1f24}table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #d0d7de;padding:4px 8px;text-align:left;vertical-align:top}.facts td{font-family:monospace;word-break:break-all}figure{margin:1em 0}svg{max-width:100%;height:auto}small{color:#57606a}.bad{color:#d1242f}";
