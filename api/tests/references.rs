//! Pages against what they speak of: no condition and no reason without a row in docs/reference/conditions.md, no row
//! without one; no link to a file or a heading that is not there.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// Words that a file of constants gives names to: `= "Word";`.
fn constants(source: &str) -> BTreeSet<String> {
    let words = source.lines().filter_map(|line| {
        let word = line.split_once("= \"")?.1.strip_suffix("\";")?;
        word.starts_with(|c: char| c.is_ascii_uppercase())
            .then(|| word.to_owned())
    });
    words.collect()
}

/// First cells in backquotes of the table below a heading; `column` counts from 0.
fn column(page: &str, heading: &str, column: usize) -> Vec<String> {
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let below = below.split("\n## ").next().unwrap();
    below
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| {
            let cell = line.split('|').nth(column + 1)?.trim();
            Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_owned())
        })
        .collect()
}

#[test]
fn every_reason_and_condition_is_explained_once() {
    let page = read("docs/reference/conditions.md");
    for (heading, at, source) in [
        ("Conditions", 1, "api/src/conditions.rs"),
        ("Reasons", 0, "api/src/reasons.rs"),
    ] {
        let rows = column(&page, heading, at);
        let explained: BTreeSet<_> = rows.iter().cloned().collect();
        assert_eq!(rows.len(), explained.len(), "{heading} has a row twice");
        let known = constants(&read(source));
        assert!(known.len() > 8, "{known:?}");
        assert_eq!(
            known.difference(&explained).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "not explained"
        );
        assert_eq!(
            explained.difference(&known).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "explained, but nobody says it"
        );
    }
}

/// All Markdown below a folder.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().replace(' ', "-")
}

/// Targets of links on a page, outside code.
fn links(page: &str) -> Vec<String> {
    let prose: String = page.split("```").step_by(2).collect();
    let parts = prose.split("](").skip(1);
    let targets = parts.filter_map(|part| Some(part.split_once(')')?.0.to_owned()));
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for folder in ["docs", "charts", "bench"] {
        pages(&root.join(folder), &mut all);
    }
    let mut checked = 0;
    for page in &all {
        for link in links(&std::fs::read_to_string(page).unwrap()) {
            checked += 1;
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let told = format!("{}: {link}", page.display());
            assert!(target.exists(), "{told}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(headings.any(|line| anchor(line) == heading), "{told}");
            }
        }
    }
    assert!(checked > 20, "only {checked} links");
}
