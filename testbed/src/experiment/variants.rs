//! What is compared: every list of `compare` multiplies the variants.

use super::Experiment;
use super::file::{Delivery, Event, Over, Source};
use super::patterns::{Named, Pattern};

/// One of the things compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name, which is also a folder's: `relays-5`.
    pub name: String,
    /// The series it belongs to in a plot over numbers of viewers.
    pub series: String,
    /// Number of viewers where numbers are compared.
    pub viewers: Option<u32>,
    /// The experiment with everything chosen; nothing is left to compare.
    pub experiment: Experiment,
}

/// All of them; one where nothing is compared.
pub fn variants(experiment: &Experiment) -> Vec<Variant> {
    let compare = &experiment.compare;
    let mut variants = Vec::new();
    for delivery in or_none(&compare.delivery) {
        for events in or_none(&compare.events) {
            for pattern in or_none(&compare.pattern) {
                for viewers in or_none(&compare.viewers) {
                    variants.push(variant(experiment, delivery, events, pattern, viewers));
                }
            }
        }
    }
    variants
}

fn or_none<T: Copy>(list: &[T]) -> Vec<Option<T>> {
    match list.is_empty() {
        true => vec![None],
        false => list.iter().copied().map(Some).collect(),
    }
}

fn variant(
    experiment: &Experiment,
    delivery: Option<Delivery>,
    events: Option<bool>,
    pattern: Option<Named>,
    viewers: Option<u32>,
) -> Variant {
    let mut chosen = experiment.clone();
    chosen.compare = Default::default();
    for group in &mut chosen.viewers {
        match delivery {
            Some(Delivery::Relays) => group.from = Source::Edges,
            Some(Delivery::Unicast) => (group.from, group.over) = (Source::Servers, Over::Grpc),
            None => {}
        }
        group.count = viewers.or(group.count);
    }
    if events == Some(false) {
        // Who joins later would otherwise be there from the beginning.
        chosen
            .events
            .retain(|event| matches!(event, Event::Join { .. }));
    }
    for event in &mut chosen.events {
        if let (Event::Bandwidth { pattern, .. }, Some(named)) = (event, pattern) {
            *pattern = Pattern::Named(named);
        }
    }
    let words = [
        delivery.map(|delivery| match delivery {
            Delivery::Relays => "relays".to_owned(),
            Delivery::Unicast => "unicast".to_owned(),
        }),
        events.map(|events| if events { "events" } else { "calm" }.to_owned()),
        pattern.map(|pattern| pattern.name().to_owned()),
    ];
    let series = words.into_iter().flatten().collect::<Vec<_>>().join("-");
    let name = match (series.as_str(), viewers) {
        ("", None) => "all".to_owned(),
        ("", Some(viewers)) => format!("viewers-{viewers}"),
        (series, None) => series.to_owned(),
        (series, Some(viewers)) => format!("{series}-{viewers}"),
    };
    Variant {
        name,
        series: if series.is_empty() {
            "all".to_owned()
        } else {
            series
        },
        viewers,
        experiment: chosen,
    }
}
