//! Measurements beside a peer or a limit, in one run, interleaved, as ratios of CPU time.
//!
//! Seconds on a shared machine say little; the CPU time of one end over that of another, measured in
//! turn in the same run, says much. Every benchmark prints one JSON line per measurement and a table
//! of medians at the end.

pub mod cpu;
pub mod edge;
pub mod hop;
pub mod links;
pub mod planner;
pub mod report;
pub mod resume;
