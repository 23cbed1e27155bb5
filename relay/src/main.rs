//! `banyan-relay`: root, relay and edge of an overlay, by configuration.

use std::process::ExitCode;

fn main() -> ExitCode {
    banyan_relay::process::main()
}
