//! The `banyan` program; everything is in its library.

use std::process::ExitCode;

fn main() -> ExitCode {
    banyan_cli::run()
}
