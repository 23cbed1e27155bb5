//! Rendezvous hashing: which root carries a stream, the same for everyone who computes it.
//!
//! The score of a root for a stream is FNV-1a (64 bit) over the stream's name, a zero byte and the root's name, passed
//! through the finaliser of SplitMix64. Roots are ranked by falling score; equal scores by name. Removing a root moves
//! only the streams it carried; adding one moves only those it wins.

/// Ranks roots for a stream, best first.
pub fn rendezvous_hash<'a>(stream: &str, roots: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(u64, &str)> = roots
        .into_iter()
        .map(|root| (score(stream, root), root))
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.into_iter().map(|(_, root)| root).collect()
}

pub(crate) fn score(stream: &str, root: &str) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = stream.bytes().chain(std::iter::once(0)).chain(root.bytes());
    let mut hash = bytes.fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_ranks_never_change() {
        assert_eq!(
            format!("{:016x}", score("clock", "root-0")),
            "30140054f9d50afd"
        );
        assert_eq!(format!("{:016x}", score("", "")), "71b8262bb6e2e086");
        let roots = ["root-0", "root-1", "root-2"];
        let ranks: Vec<String> = ["clock", "bars", "talk"]
            .iter()
            .map(|s| rendezvous_hash(s, roots).join(" "))
            .collect();
        assert_eq!(
            ranks,
            [
                "root-1 root-2 root-0",
                "root-1 root-0 root-2",
                "root-1 root-0 root-2"
            ]
        );
    }

    #[test]
    fn removing_a_root_moves_only_its_streams() {
        let all = ["root-0", "root-1", "root-2", "root-3"];
        let fewer = ["root-0", "root-1", "root-3"];
        let mut carried = [0; 4];
        for n in 0..1000 {
            let stream = format!("stream-{n}");
            let before = rendezvous_hash(&stream, all)[0];
            carried[all.iter().position(|root| *root == before).unwrap()] += 1;
            if before != "root-2" {
                assert_eq!(rendezvous_hash(&stream, fewer)[0], before, "{stream}");
            }
        }
        assert!(
            carried.iter().all(|count| (200..300).contains(count)),
            "{carried:?}"
        );
    }
}
