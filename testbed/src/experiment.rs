//! Experiments: a file says who watches, what happens when, and what is compared; a world carries it out, again and
//! again; the figures come with medians, intervals and a page that shows them.
//!
//! In the flow: [`file`] reads YAML, [`variants`] multiplies what is compared, [`schedule`] turns one variant and one
//! seed into instants and actions, [`conduct`] plays them on a [`world::World`], [`analysis`] makes figures of what was
//! recorded, [`statistics`] of repetitions, [`output`], [`plots`] and [`page`] write them down. Everything but the world
//! is pure: the same file, network and seed give the same schedule, and the same records the same page.

pub mod analysis;
pub mod conduct;
pub mod file;
pub mod output;
pub mod page;
pub mod patterns;
pub mod plots;
pub mod problem;
pub mod schedule;
pub mod statistics;
pub mod svg;
pub mod variants;
pub mod world;

mod chance;
mod quantities;

pub use self::file::Experiment;
pub use self::problem::Problem;
pub use self::schedule::Schedule;
pub use self::variants::Variant;
