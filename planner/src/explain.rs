//! Why each choice won, in sentences.

use std::fmt::Write;

use crate::cost::{Cost, TIER_SKIP};
use crate::plan::{BackupKind, Basis, Choice, Home, Join, Name, Plan};

impl Plan {
    /// Explains one member's place: its home, its backups, and how it joins each stream. `None` for a name that is not
    /// in the plan; a root is in it when a stream names it.
    pub fn explain(&self, member: &str) -> Option<String> {
        let mut text = String::new();
        if let Some(home) = self.homes.get(member) {
            explain_home(&mut text, member, home);
        }
        for (stream, tree) in &self.trees {
            if tree.carrier.as_str() == member {
                line(
                    &mut text,
                    format_args!("{member} carries {stream}{}", after(&tree.successors)),
                );
            } else if let Some(join) = tree.joins.get(member) {
                line(
                    &mut text,
                    format_args!("{}", explain_join(member, stream, &tree.carrier, join)),
                );
            } else if tree.successors.iter().any(|root| root.as_str() == member) {
                let place = tree
                    .successors
                    .iter()
                    .take_while(|root| root.as_str() != member)
                    .count()
                    + 1;
                line(
                    &mut text,
                    format_args!(
                        "{member} takes over {stream} as number {place} after {}",
                        tree.carrier
                    ),
                );
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// Explains everybody, roots first.
    pub fn explain_all(&self) -> String {
        let roots = self
            .trees
            .values()
            .flat_map(|tree| std::iter::once(&tree.carrier).chain(&tree.successors));
        let mut members: Vec<&Name> = roots
            .filter(|root| !self.homes.contains_key(*root))
            .collect();
        members.sort_unstable();
        members.dedup();
        members.extend(self.homes.keys());
        members
            .into_iter()
            .filter_map(|member| self.explain(member.as_str()))
            .collect()
    }
}

fn explain_home(text: &mut String, member: &str, home: &Home) {
    let Home {
        parent,
        cost_us,
        basis,
        choice,
        backups,
    } = home;
    let why = match choice {
        Choice::Nearest => "nobody above is nearer".to_owned(),
        Choice::NearestFree { nearer, nearer_us } => {
            format!(
                "{nearer} is nearer ({}) but its slots are taken by others that need them more",
                cost(*nearer_us)
            )
        }
        Choice::Kept { nearer, nearer_us } => {
            format!(
                "kept, for {nearer} ({}) is not better by enough to move",
                cost(*nearer_us)
            )
        }
    };
    line(
        text,
        format_args!("{member} <- {parent} at {}: {why}", link(*cost_us, *basis)),
    );
    for (rank, backup) in backups.iter().enumerate() {
        let kind = match backup.kind {
            BackupKind::OtherZone => format!("shares neither host nor zone with {parent}"),
            BackupKind::OtherHost => {
                format!(
                    "stands on another host than {parent}; nobody is known to stand in another zone"
                )
            }
            BackupKind::SameHost => {
                format!("shares the host with {parent}, as everybody left does")
            }
            BackupKind::Sibling => "a sibling under another parent, as the last resort".to_owned(),
        };
        line(
            text,
            format_args!(
                "  backup {}: {} at {}: {kind}",
                rank + 1,
                backup.member,
                link(backup.cost_us, backup.basis)
            ),
        );
    }
}

fn explain_join(member: &str, stream: &Name, carrier: &Name, join: &Join) -> String {
    match join {
        Join::Home(parent) => format!("  {stream}: from its home {parent}"),
        Join::Carrier(parent) => {
            format!("  {stream}: from {parent} directly, which carries it and has a free slot")
        }
        Join::Root(parent) if parent == carrier => {
            format!("{member} takes {stream} from its carrier {parent}")
        }
        Join::Root(parent) => format!(
            "{member} takes {stream} from {parent}, for the link to its carrier {carrier} is down"
        ),
    }
}

fn after(successors: &[Name]) -> String {
    match successors {
        [] => String::new(),
        all => format!(
            "; then {}",
            all.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A link's cost in words: what it is made of belongs to the reason.
fn link(us: Cost, basis: Basis) -> String {
    let known = if basis.measured {
        "measured"
    } else {
        "assumed"
    };
    let own = us.saturating_sub(Cost::from(basis.skipped_tiers) * TIER_SKIP);
    match basis.skipped_tiers {
        0 => format!("{} {known}", cost(own)),
        1 => format!("{} {known}, past a tier", cost(own)),
        tiers => format!("{} {known}, past {tiers} tiers", cost(own)),
    }
}

/// A cost in words.
fn cost(us: Cost) -> String {
    if us < 1_000 {
        format!("{us} us")
    } else {
        format!("{}.{} ms", us / 1_000, us % 1_000 / 100)
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{content}");
}
