//! Exit codes and the sentences that come with them.

use std::fmt;
use std::process::ExitCode;

/// Bad configuration: what was asked for can never work.
const BAD_CONFIGURATION: u8 = 64;
/// A good configuration that could not be started.
const FAILED_START: u8 = 1;

/// Configuration that is refused: one sentence per problem.
#[derive(Debug)]
pub struct Refusal(pub Vec<String>);

impl Refusal {
    /// A refusal for one reason.
    pub fn one(sentence: impl Into<String>) -> anyhow::Error {
        Self(vec![sentence.into()]).into()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Refusal {}

/// Prints why a command failed, one line per problem, and gives its exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(Refusal(sentences)) = error.downcast_ref() {
        for sentence in sentences {
            eprintln!("banyan: {sentence}");
        }
        return ExitCode::from(BAD_CONFIGURATION);
    }
    for line in format!("{error:#}").lines() {
        eprintln!("banyan: {line}");
    }
    ExitCode::from(FAILED_START)
}

/// Help and version are no errors; everything else about a command line is bad configuration.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe is the reader's choice.
    let _ = error.print();
    if error.use_stderr() {
        return ExitCode::from(BAD_CONFIGURATION);
    }
    ExitCode::SUCCESS
}
