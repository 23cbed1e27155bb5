//! Plots of results: one figure over variants or over numbers of viewers, and bytes link by link.

use std::collections::BTreeMap;

use super::analysis::Measure;
use super::output::Results;
use super::statistics::Summary;
use super::svg::{BASE, COLOURS, Canvas, LEFT, RIGHT, number};

/// A measure of all variants; none where nobody has a value, or all have 0.
pub fn of_measure(results: &Results<'_>, measure: &Measure) -> Option<String> {
    let summaries: Vec<Option<Summary>> = results
        .summaries()
        .into_iter()
        .map(|mut summaries| summaries.remove(measure.key))
        .collect();
    let highest = summaries.iter().flatten().map(|one| one.high);
    let highest = highest.fold(0.0, f64::max);
    // A picture of nothing says less than the table.
    if highest <= 0.0 {
        return None;
    }
    let mut canvas = Canvas::new(measure.title, measure.unit, highest);
    let counted = results.job.variants.iter().all(|one| one.viewers.is_some());
    if counted && results.job.variants.len() > 1 {
        over_viewers(&mut canvas, results, &summaries);
    } else {
        over_variants(&mut canvas, results, &summaries, measure.unit);
    }
    Some(canvas.done())
}

fn over_variants(
    canvas: &mut Canvas,
    results: &Results<'_>,
    summaries: &[Option<Summary>],
    unit: &str,
) {
    let slot = (RIGHT - LEFT) / summaries.len().max(1) as f64;
    let width = (slot * 0.6).min(90.0);
    for (index, (variant, summary)) in results.job.variants.iter().zip(summaries).enumerate() {
        let middle = LEFT + slot * (index as f64 + 0.5);
        canvas.text(middle, BASE + 18.0, "middle", "", &variant.name);
        if let Some(summary) = summary {
            let colour = COLOURS[index % COLOURS.len()];
            canvas.bar(middle - width / 2.0, width, summary.median, colour);
            canvas.whisker(middle, summary.low, summary.high, "#1b1f24");
            let told = number(summary.median, unit);
            canvas.text(middle, BASE + 34.0, "middle", "", &told);
        }
    }
}

fn over_viewers(canvas: &mut Canvas, results: &Results<'_>, summaries: &[Option<Summary>]) {
    let mut series: BTreeMap<&str, Vec<(u32, Summary)>> = BTreeMap::new();
    let mut most = 1;
    for (variant, summary) in results.job.variants.iter().zip(summaries) {
        if let (Some(viewers), Some(summary)) = (variant.viewers, summary) {
            most = most.max(viewers);
            series
                .entry(&variant.series)
                .or_default()
                .push((viewers, *summary));
        }
    }
    let x = |viewers: u32| LEFT + (RIGHT - LEFT) * f64::from(viewers) / f64::from(most) * 0.96;
    let mut ticks: Vec<u32> = series
        .values()
        .flatten()
        .map(|(viewers, _)| *viewers)
        .collect();
    ticks.sort_unstable();
    ticks.dedup();
    for viewers in ticks {
        canvas.text(x(viewers), BASE + 18.0, "middle", "", &viewers.to_string());
    }
    canvas.text((LEFT + RIGHT) / 2.0, BASE + 36.0, "middle", "", "viewers");
    let mut legend = Vec::new();
    for (index, (name, mut points)) in series.into_iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        legend.push((name, colour));
        points.sort_by_key(|(viewers, _)| *viewers);
        let line: Vec<(f64, f64)> = points
            .iter()
            .map(|(viewers, summary)| (x(*viewers), canvas.y(summary.median)))
            .collect();
        canvas.path(&line, colour);
        for (viewers, summary) in points {
            canvas.whisker(x(viewers), summary.low, summary.high, colour);
        }
    }
    canvas.legend(&legend);
}

/// Median bytes of the busiest link directions of one variant; none where links were not counted.
pub fn of_links(results: &Results<'_>, variant: usize) -> Option<String> {
    let mut links = results.link_medians(variant);
    links.retain(|(_, bytes)| *bytes > 0.0);
    links.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    links.truncate(MOST_LINKS);
    let highest = links.first()?.1;
    let name = results
        .job
        .variants
        .get(variant)
        .map_or("", |one| one.name.as_str());
    let title = format!(
        "bytes per link direction, {name} (median, busiest {})",
        links.len()
    );
    let mut canvas = Canvas::new(&title, "B", highest);
    let slot = (RIGHT - LEFT) / links.len() as f64;
    for (index, (name, bytes)) in links.iter().enumerate() {
        let x = LEFT + slot * index as f64;
        canvas.bar(x + slot * 0.15, slot * 0.7, *bytes, COLOURS[0]);
        // Two heights, so that neighbours do not touch.
        let y = BASE + 16.0 + 14.0 * (index % 2) as f64;
        canvas.text(x + slot / 2.0, y, "middle", "", name);
    }
    Some(canvas.done())
}

/// Links that a plot has room for.
const MOST_LINKS: usize = 8;
