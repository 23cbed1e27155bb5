//! Parents given by hand: `--parent NAME=URI`, ranked, or `--neighbors FILE`.
//!
//! Who is given parents by hand keeps them: what the configuration and the control plane's plans say
//! of parents, candidates and roots is passed over, and control is told so in every report. Flags
//! rule over the file, the file over control.

use std::path::PathBuf;

use banyan_proto::transport;
use banyan_proto::v1;

use crate::config::{ConfigError, check_name};
use crate::core::Role;

/// The part of the command line that tells of parents.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ByHand {
    /// A parent, best first; may be given again and again. Parents given so are fixed: the
    /// configuration's and the control plane's are passed over.
    #[arg(long = "parent", value_name = "NAME=URI")]
    parents: Vec<String>,
    /// File with the same, one NAME=URI in a line, best first (empty lines and # comments are passed
    /// over), or as a JSON array of {"name", "uri"}; --parent rules over it.
    #[arg(long, value_name = "FILE", env = "BANYAN_NEIGHBORS")]
    neighbors: Option<PathBuf>,
}

impl ByHand {
    /// The parents given by hand; `None` = the configuration's.
    pub(crate) fn resolve(
        &self,
        member: Option<&str>,
        role: Role,
    ) -> Result<Option<Vec<v1::Peer>>, ConfigError> {
        let peers = if self.parents.is_empty() {
            let Some(path) = &self.neighbors else {
                return Ok(None);
            };
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.clone(),
                source,
            })?;
            match text.trim_start().starts_with('[') {
                true => serde_json::from_str(&text).map_err(|source| ConfigError::Parse {
                    path: path.clone(),
                    source,
                })?,
                false => lines(&text).map(peer).collect::<Result<_, _>>()?,
            }
        } else {
            let given = self.parents.iter();
            given
                .map(|text| peer(text))
                .collect::<Result<Vec<_>, _>>()?
        };
        check(&peers, member, role)?;
        Ok(Some(peers))
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn peer(text: &str) -> Result<v1::Peer, ConfigError> {
    let (name, uri) = text.split_once('=').ok_or_else(|| ConfigError::Value {
        what: "parent",
        value: text.to_owned(),
        accepted: "NAME=URI, such as hall-0=http://192.0.2.7:7400,",
    })?;
    Ok(v1::Peer {
        name: name.trim().to_owned(),
        uri: uri.trim().to_owned(),
    })
}

fn check(peers: &[v1::Peer], member: Option<&str>, role: Role) -> Result<(), ConfigError> {
    let refuse = |what, value: &str, accepted| {
        Err(ConfigError::Value {
            what,
            value: value.to_owned(),
            accepted,
        })
    };
    if role == Role::Root {
        let accepted = "none for a root, which content servers feed,";
        let first = peers.first().map_or("", |peer| &peer.name);
        return refuse("parent", first, accepted);
    }
    if peers.is_empty() {
        return refuse("list of parents", "", "at least one parent");
    }
    for (at, peer) in peers.iter().enumerate() {
        check_name("parent", &peer.name)?;
        transport::endpoint(&peer.uri).map_err(|source| ConfigError::Peer {
            what: "parent",
            name: peer.name.clone(),
            source,
        })?;
        if member == Some(&peer.name) {
            return refuse("parent", &peer.name, "any member but itself");
        }
        if peers[..at].iter().any(|before| before.name == peer.name) {
            return refuse("parent", &peer.name, "each parent once");
        }
    }
    Ok(())
}

/// The configuration with parents given by hand in the place of its own.
pub(crate) fn fix(mut config: v1::Config, parents: &[v1::Peer]) -> v1::Config {
    config.parents = parents.to_vec();
    config.candidates = parents.to_vec();
    config.roots.clear();
    config
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn arguments(parents: &[&str], file: Option<&str>) -> (ByHand, tempfile::NamedTempFile) {
        let mut kept = tempfile::NamedTempFile::new().unwrap();
        kept.write_all(file.unwrap_or_default().as_bytes()).unwrap();
        let arguments = ByHand {
            parents: parents.iter().map(|text| (*text).to_owned()).collect(),
            neighbors: file.map(|_| kept.path().to_owned()),
        };
        (arguments, kept)
    }

    fn names(parents: &[&str], file: Option<&str>) -> Result<Vec<String>, String> {
        let (arguments, _kept) = arguments(parents, file);
        let peers = arguments
            .resolve(Some("edge-0"), Role::Edge)
            .map_err(|error| error.to_string())?;
        let peers = peers.into_iter().flatten();
        Ok(peers
            .map(|peer| format!("{} {}", peer.name, peer.uri))
            .collect())
    }

    #[test]
    fn flags_rule_over_the_file_and_both_are_ranked() {
        let file = "# the hall first\nhall-0 = http://h:1\n\nroot-1=http://r:1\n";
        let json = r#"[{"name": "hall-2", "uri": "http://h:3"}]"#;
        assert_eq!(names(&[], None), Ok(vec![]));
        assert_eq!(
            names(&[], Some(file)),
            Ok(vec!["hall-0 http://h:1".into(), "root-1 http://r:1".into()])
        );
        assert_eq!(names(&[], Some(json)), Ok(vec!["hall-2 http://h:3".into()]));
        assert_eq!(
            names(&["hall-1=http://h:2"], Some(file)),
            Ok(vec!["hall-1 http://h:2".into()])
        );
    }

    #[test]
    fn what_cannot_be_a_parent_is_refused_in_a_sentence() {
        for (parents, file, part) in [
            (&["hall-0"][..], None, "parent \"hall-0\" is not usable"),
            (&["hall-0=h:1"], None, "parent \"hall-0\":"),
            (&["Hall=http://h:1"], None, "parent \"Hall\" is not usable"),
            (&["edge-0=http://h:1"], None, "any member but itself"),
            (
                &["hall-0=http://h:1", "hall-0=http://h:2"],
                None,
                "each parent once",
            ),
            (&[], Some("# nobody\n"), "at least one parent"),
            (&[], Some("[1]"), "is not understood"),
        ] {
            let refused = names(parents, file).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
        let (root, _kept) = arguments(&["hall-0=http://h:1"], None);
        let refused = root.resolve(Some("root-0"), Role::Root).unwrap_err();
        assert!(refused.to_string().contains("none for a root"), "{refused}");
    }

    #[test]
    fn what_control_says_of_parents_is_passed_over_and_the_rest_is_taken() {
        let core = crate::testing::lone_core("edge-7");
        core.fix_parents(vec![crate::testing::peer("hall-9")]);
        let mut plan = crate::testing::config(&["root-0"], &["mid-0", "mid-1"]);
        plan.max_sessions = 7;
        core.configure(plan);
        let config = core.config();
        assert_eq!(config.parents, [crate::testing::peer("hall-9")]);
        assert_eq!(config.max_sessions, 7);
        assert!(core.fallbacks().is_empty());
        let report = core.report(1);
        assert_eq!(report.parents, ["hall-9"]);
        assert!(report.parents_fixed);
    }
}
