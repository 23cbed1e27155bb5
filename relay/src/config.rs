//! What a relay is told at start: arguments, and the JSON of `--config`. Bad input is one sentence.
//!
//! A relay without `--member` asks the control plane who it is ([`Start::Ask`]); what it is told is checked alike.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banyan_proto::transport;
use banyan_proto::trust::ServiceAccount;
use banyan_proto::v1;
use clap::{Parser, ValueEnum};

use crate::core::Role;
use crate::leave::Manner;

/// Holds the newest two segments of a dozen tracks; less could not hold a window of anything.
const SMALLEST_BUDGET: u64 = 16 << 20;

/// Nobody waits longer for a member to leave.
const LONGEST_LEAVE: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RoleName {
    Root,
    Relay,
    Edge,
}

/// Carries streams from a parent to children and viewers.
#[derive(Clone, Debug, Parser)]
#[command(name = "banyan-relay", version)]
pub struct Arguments {
    /// This member's name, such as edge-0; without it, --control tells it, to whoever has a
    /// --service-account-token.
    #[arg(long, env = "BANYAN_MEMBER")]
    member: Option<String>,
    /// What it is in the tree.
    #[arg(long, env = "BANYAN_ROLE")]
    role: RoleName,
    /// The topology it belongs to.
    #[arg(long, env = "BANYAN_TOPOLOGY")]
    topology: String,
    /// Address for children.
    #[arg(long, env = "BANYAN_GRPC")]
    grpc: SocketAddr,
    /// Address for viewers (edges), metrics and health.
    #[arg(long, env = "BANYAN_HTTP")]
    http: SocketAddr,
    /// URI under which children reach --grpc, if it is not that address.
    #[arg(long, env = "BANYAN_ADVERTISE")]
    advertise: Option<String>,
    /// File with the configuration that may change while running, as JSON.
    #[arg(long, env = "BANYAN_CONFIG")]
    config: PathBuf,
    /// URI of the control plane; without it the configuration stands.
    #[arg(long, env = "BANYAN_CONTROL")]
    control: Option<String>,
    /// File with the token that tells the control plane who this is; read again for every call.
    #[arg(long, env = "BANYAN_SERVICE_ACCOUNT_TOKEN")]
    service_account_token: Option<PathBuf>,
    /// Name to go on under, with --config, when the control plane does not tell one in time.
    #[arg(long, env = "BANYAN_POD_NAME")]
    pod_name: Option<String>,
    /// Media held in memory, over all tracks: bytes, or with KiB, MiB, GiB.
    #[arg(long, env = "BANYAN_MEMORY_BUDGET", default_value = "512MiB")]
    memory_budget: String,
    /// How long to serve on, unready, when told to leave: such as 1s or 500ms.
    #[arg(long, env = "BANYAN_LAME_DUCK", default_value = "1s")]
    lame_duck: String,
    /// How long children and viewers may take to go, from then on.
    #[arg(long, env = "BANYAN_DRAIN_TIMEOUT", default_value = "10s")]
    drain_timeout: String,
    /// Media sent at most, to children and viewers together: bits per second, or with kbit, Mbit,
    /// Gbit; rules over the configuration.
    #[arg(long, env = "BANYAN_MAX_EGRESS")]
    max_egress: Option<String>,
    #[command(flatten)]
    neighbors: crate::neighbors::ByHand,
    /// Folder for records of every chunk received and every event.
    #[arg(long, env = "BANYAN_RECORD")]
    record: Option<PathBuf>,
}

/// How to start.
#[derive(Clone, Debug)]
pub enum Start {
    /// With everything known.
    Known(Box<Config>),
    /// By asking the control plane first.
    Ask(Box<Asking>),
}

/// What is known before the control plane was asked.
#[derive(Clone, Debug)]
pub struct Asking {
    /// All but name and dynamic configuration.
    pub(crate) config: Config,
    pub(crate) control: Control,
    pub(crate) file: PathBuf,
    pub(crate) pod_name: Option<String>,
}

/// The way to the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    pub uri: String,
    /// Who this is, over there; `None` = the holder of the run's secret.
    pub account: Option<ServiceAccount>,
}

/// What the arguments mean.
#[derive(Clone, Debug)]
pub struct Config {
    pub member: String,
    pub role: Role,
    pub topology: String,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub advertise: Option<String>,
    pub dynamic: v1::Config,
    pub control: Option<Control>,
    pub memory_budget: u64,
    pub record: Option<PathBuf>,
    pub leave: Manner,
    /// Bits per second; `None` = as configured.
    pub max_egress: Option<u64>,
    /// Parents given by hand; `None` = as configured.
    pub parents: Option<Vec<v1::Peer>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration {path:?} cannot be read: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("configuration {path:?} is not understood: {source}", path = path.display())]
    Parse {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{what} {value:?} is not usable; {accepted} is accepted")]
    Value {
        what: &'static str,
        value: String,
        accepted: &'static str,
    },
    #[error("{what} {name:?}: {source}")]
    Peer {
        what: &'static str,
        name: String,
        source: transport::EndpointError,
    },
}

impl Arguments {
    /// Reads the file, where it is needed now, and checks everything.
    pub fn resolve(self) -> Result<Start, ConfigError> {
        let role = match self.role {
            RoleName::Root => Role::Root,
            RoleName::Relay => Role::Relay,
            RoleName::Edge => Role::Edge,
        };
        let parents = self.neighbors.resolve(self.member.as_deref(), role)?;
        for (what, uri) in [("advertise", &self.advertise), ("control", &self.control)] {
            if let Some(uri) = uri {
                transport::endpoint(uri).map_err(|source| ConfigError::Peer {
                    what,
                    name: uri.clone(),
                    source,
                })?;
            }
        }
        let memory_budget = parse_bytes(&self.memory_budget)
            .filter(|bytes| *bytes >= SMALLEST_BUDGET)
            .ok_or(ConfigError::Value {
                what: "memory budget",
                value: self.memory_budget,
                accepted: "a size of at least 16MiB, such as 512MiB,",
            })?;
        let leave = Manner {
            lame_duck: duration("lame-duck time", self.lame_duck)?,
            drain: duration("drain timeout", self.drain_timeout)?,
        };
        let max_egress = match self.max_egress {
            Some(text) => Some(parse_bits(&text).ok_or(ConfigError::Value {
                what: "egress limit",
                value: text,
                accepted: "a rate of at least 1 bit/s, such as 50Mbit,",
            })?),
            None => None,
        };
        let account = self.service_account_token.map(ServiceAccount::new);
        let control = self.control.map(|uri| Control { uri, account });
        let mut config = Config {
            member: String::new(),
            role,
            topology: self.topology,
            grpc: self.grpc,
            http: self.http,
            advertise: self.advertise,
            dynamic: v1::Config::default(),
            control: control.clone(),
            memory_budget,
            record: self.record,
            leave,
            max_egress,
            parents,
        };
        match (self.member, control) {
            (Some(member), _) => {
                check_name("member", &member)?;
                config.dynamic = read(&self.config)?;
                if let Some(parents) = &config.parents {
                    config.dynamic = crate::neighbors::fix(config.dynamic, parents);
                }
                check(&config.dynamic, &member, role)?;
                config.member = member;
                Ok(Start::Known(Box::new(config)))
            }
            (None, Some(control)) if control.account.is_some() => {
                Ok(Start::Ask(Box::new(Asking {
                    config,
                    control,
                    file: self.config,
                    pod_name: self.pod_name,
                })))
            }
            (None, _) => Err(ConfigError::Value {
                what: "member",
                value: String::new(),
                accepted: "a name such as edge-0, or --control and --service-account-token to be told one,",
            }),
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<v1::Config, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_str(&text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// Checks a configuration for a member, from a file or from control.
pub(crate) fn check(config: &v1::Config, member: &str, role: Role) -> Result<(), ConfigError> {
    for (what, peers) in [("root", &config.roots), ("parent", &config.parents)] {
        for peer in peers {
            check_name(what, &peer.name)?;
            transport::endpoint(&peer.uri).map_err(|source| ConfigError::Peer {
                what,
                name: peer.name.clone(),
                source,
            })?;
        }
    }
    for edge in &config.edges {
        check_name("edge", &edge.name)?;
        let fits = edge.uri.len() <= 256 && !edge.uri.contains(['"', ' ']);
        let scheme = edge.uri.starts_with("http://") || edge.uri.starts_with("https://");
        if !(fits && scheme && edge.uri.parse::<http::Uri>().is_ok()) {
            return Err(ConfigError::Value {
                what: "URL of an edge",
                value: edge.uri.clone(),
                accepted: "http://host:port or https://host",
            });
        }
    }
    if config.parents.iter().any(|peer| peer.name == member) {
        return Err(ConfigError::Value {
            what: "parent",
            value: member.to_owned(),
            accepted: "any member but itself",
        });
    }
    if role != Role::Root && config.parents.is_empty() {
        return Err(ConfigError::Value {
            what: "list of parents",
            value: String::new(),
            accepted: "at least one parent for a relay or an edge",
        });
    }
    if role == Role::Root
        && !config.roots.is_empty()
        && !config.roots.iter().any(|r| r.name == member)
    {
        return Err(ConfigError::Value {
            what: "root",
            value: member.to_owned(),
            accepted: "a name in the list of roots",
        });
    }
    Ok(())
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), ConfigError> {
    let fits = (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits {
        Ok(())
    } else {
        Err(ConfigError::Value {
            what,
            value: name.to_owned(),
            accepted: "a name of 1 to 63 lower-case letters, digits and '-'",
        })
    }
}

fn duration(what: &'static str, text: String) -> Result<Duration, ConfigError> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    units
        .iter()
        .find_map(|(unit, ms)| {
            text.strip_suffix(unit)?
                .parse::<u64>()
                .ok()?
                .checked_mul(*ms)
        })
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST_LEAVE)
        .ok_or(ConfigError::Value {
            what,
            value: text,
            accepted: "a time of 0ms to 60m, such as 500ms or 10s,",
        })
}

fn parse_bits(text: &str) -> Option<u64> {
    let units = [
        ("kbit", 1000),
        ("Mbit", 1_000_000),
        ("Gbit", 1_000_000_000),
        ("", 1),
    ];
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    let bits = digits.trim().parse::<u64>().ok()?.checked_mul(factor)?;
    (bits > 0).then_some(bits)
}

fn parse_bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let (digits, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str, more: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge-7.json");
        std::fs::write(&path, json).unwrap();
        let mut arguments = vec![
            "banyan-relay",
            "--member",
            "edge-7",
            "--role",
            "edge",
            "--topology",
            "quay",
            "--grpc",
            "127.0.0.1:1",
            "--http",
            "127.0.0.1:2",
            "--config",
        ];
        let path = path.to_str().unwrap();
        arguments.push(path);
        arguments.extend(more);
        let start = Arguments::try_parse_from(arguments)
            .map_err(|error| error.to_string())?
            .resolve()
            .map_err(|error| error.to_string())?;
        match start {
            Start::Known(config) => Ok(*config),
            Start::Ask(asking) => panic!("{asking:?}"),
        }
    }

    fn nameless(more: &[&str]) -> Result<Start, String> {
        let fixed = [
            "banyan-relay",
            "--role",
            "edge",
            "--topology",
            "quay",
            "--grpc",
            "127.0.0.1:1",
            "--http",
            "127.0.0.1:2",
            "--config",
            "/nowhere/edge.json",
        ];
        Arguments::try_parse_from(fixed.iter().chain(more))
            .map_err(|error| error.to_string())?
            .resolve()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_member_without_a_name_asks_for_one_where_it_can() {
        let asks = nameless(&["--control", "http://c:1", "--service-account-token", "/t"]);
        let Ok(Start::Ask(asking)) = asks else {
            panic!("{asks:?}");
        };
        assert_eq!(asking.control.uri, "http://c:1");
        for more in [
            &[][..],
            &["--control", "http://c:1"],
            &["--service-account-token", "/t"],
        ] {
            let error = nameless(more).unwrap_err();
            assert!(error.contains("--service-account-token"), "{error}");
        }
    }

    const GOOD: &str =
        r#"{"epoch": 7, "parents": [{"name": "mid-0", "uri": "http://127.0.0.1:3"}]}"#;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_bytes("512MiB"), Some(512 << 20));
        assert_eq!(parse_bytes("1 GiB"), Some(1 << 30));
        assert_eq!(parse_bytes("17"), Some(17));
        assert_eq!(parse_bytes("x"), None);
        assert_eq!(resolve(GOOD, &[]).unwrap().memory_budget, 512 << 20);
    }

    #[test]
    fn bad_input_is_answered_with_the_value_and_what_is_accepted() {
        for (json, more, parts) in [
            (r#"{"epok": 1}"#, &[][..], &["edge-7.json", "epok"][..]),
            (r#"{}"#, &[], &["at least one parent"]),
            (
                r#"{"parents": [{"name": "edge-7", "uri": "http://127.0.0.1:3"}]}"#,
                &[],
                &["edge-7", "itself"],
            ),
            (
                r#"{"parents": [{"name": "mid-0", "uri": "127.0.0.1:3"}]}"#,
                &[],
                &["mid-0", "http://host:port"],
            ),
            (
                r#"{"parents": [{"name": "Mid 0", "uri": "http://127.0.0.1:3"}]}"#,
                &[],
                &["Mid 0", "lower-case"],
            ),
            (GOOD, &["--memory-budget", "3KiB"], &["3KiB", "16MiB"]),
            (
                r#"{"parents": [{"name": "mid-0", "uri": "http://a:1"}], "edges": [{"name": "edge-0", "uri": "edge-0:80"}]}"#,
                &[],
                &["edge-0:80", "https://host"],
            ),
            (GOOD, &["--control", "nowhere"], &["nowhere"]),
            (
                GOOD,
                &["--lame-duck", "3"],
                &["lame-duck", "\"3\"", "500ms"],
            ),
            (GOOD, &["--drain-timeout", "61m"], &["61m", "60m"]),
            (GOOD, &["--max-egress", "0Mbit"], &["0Mbit", "50Mbit"]),
            (GOOD, &["--max-egress", "fast"], &["fast", "50Mbit"]),
        ] {
            let error = resolve(json, more).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
