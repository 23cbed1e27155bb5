//! The process around the operator: arguments, logs, signals, exit codes.

use std::process::ExitCode;

use clap::Parser;

use crate::args::Arguments;

/// Runs until told to leave.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let bad = error.use_stderr();
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if bad { 64 } else { 0 });
        }
    };
    let _ = arguments;
    ExitCode::SUCCESS
}
