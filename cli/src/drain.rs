//! `banyan drain`: asks one member to leave, and waits until it is gone.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::commands;
use crate::exit::Refusal;
use crate::up::client::Client;

/// Let a member leave gently: others take over what it carries, then it ends.
///
/// In a run of `banyan up` a drained member stays away until the run is started anew.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the member, such as hall-0, root-1 or a content server's
    #[arg(value_name = "MEMBER")]
    member: String,
    /// URL of the control plane
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18000")]
    control: String,
    /// Print one line of JSON once it is gone
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  banyan drain hall-0
  banyan drain edge-1 --control http://127.0.0.1:18100 --json";

#[derive(Debug, Deserialize)]
struct Topology {
    members: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    name: String,
    #[serde(default)]
    drain: String,
    #[serde(default)]
    sessions: u32,
}

/// Asks, then waits until it has left.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let control = args.control.trim_end_matches('/');
    if args.member.is_empty()
        || args
            .member
            .contains(|c: char| !c.is_ascii_alphanumeric() && c != '-')
    {
        return Err(Refusal::one(format!(
            "{:?} is no name of a member; lower-case letters, digits and '-' are accepted",
            args.member
        )));
    }
    let client = Client::new();
    let began = Instant::now();
    let (status, text) = client
        .change(&format!("{control}/api/members/{}/drain", args.member))
        .await?;
    match status.as_u16() {
        200..=299 => {}
        400..=499 => return Err(Refusal::one(text)),
        _ => bail!("{control} answered {status}: {text}"),
    }
    let mut told = String::new();
    loop {
        let (drain, sessions) = look(&client, control, &args.member).await?;
        if drain != told && !args.json {
            let word = match drain.as_str() {
                "leaving" => format!("is leaving, {sessions} sessions"),
                "left" => format!("has left after {:.1} s", began.elapsed().as_secs_f64()),
                _ => "is asked to leave".to_owned(),
            };
            commands::print(&format!("{} {word}\n", args.member))?;
            told.clone_from(&drain);
        }
        if drain == "left" {
            break;
        }
        if began.elapsed() > PATIENCE {
            bail!(
                "{} has not left after {} s",
                args.member,
                PATIENCE.as_secs()
            );
        }
        sleep(PACE).await;
    }
    if args.json {
        let ms = began.elapsed().as_millis() as u64;
        let line = json!({ "member": args.member, "drain": "left", "ms": ms });
        commands::print(&format!("{line}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(client: &Client, control: &str, name: &str) -> anyhow::Result<(String, u32)> {
    let topology: Topology = client.json(&format!("{control}/api/topology")).await?;
    let found = topology
        .members
        .into_iter()
        .find(|member| member.name == name);
    // A member that the control plane forgot has left the topology too.
    Ok(found.map_or(("left".to_owned(), 0), |member| {
        (member.drain, member.sessions)
    }))
}

/// Whether control says that the member was drained; no when it cannot be asked.
pub(crate) async fn was_drained(control: &str, name: &str) -> bool {
    let (client, url) = (Client::new(), format!("{control}/api/topology"));
    client.json::<Topology>(&url).await.is_ok_and(|topology| {
        let mut members = topology.members.iter();
        members.any(|member| member.name == name && !member.drain.is_empty())
    })
}

const PACE: Duration = Duration::from_millis(200);
/// Longer than any sensible drain timeout of a member.
const PATIENCE: Duration = Duration::from_secs(120);
