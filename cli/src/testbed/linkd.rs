//! The link process, started in the fabric by the inner process.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use banyan_testbed::linkd::{Config, Linkd};

pub(super) fn run(config: &Path, socket: &Path) -> anyhow::Result<ExitCode> {
    let text =
        std::fs::read_to_string(config).with_context(|| format!("cannot read {config:?}"))?;
    let config: Config =
        serde_json::from_str(&text).with_context(|| format!("{config:?} holds no links"))?;
    let mut stdout = std::io::stdout();
    match Linkd::new(&config, socket) {
        Ok(linkd) => {
            writeln!(stdout, "ready")?;
            stdout.flush()?;
            linkd.run()?;
        }
        // Whoever started it reads one line.
        Err(error) => writeln!(stdout, "{:#}", anyhow::Error::from(error))?,
    }
    Ok(ExitCode::FAILURE)
}
