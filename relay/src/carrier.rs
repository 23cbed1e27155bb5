//! Which root carries a stream: rendezvous hashing (highest random weight) over root names.
//!
//! weight(root, stream) = the first 8 bytes, little endian, of BLAKE3 over the root's name, one zero
//! byte, and the stream's name. The highest weight carries; equal weights go to the smaller name.
//! Every member computes the same order from the same names, whatever their order in a file, and a
//! root that comes or goes moves only the streams it carried.

/// The roots for `stream`, carrier first.
pub fn rank<'a>(roots: impl IntoIterator<Item = &'a str>, stream: &str) -> Vec<&'a str> {
    let mut weighed: Vec<(u64, &str)> = roots
        .into_iter()
        .map(|root| (weight(root, stream), root))
        .collect();
    weighed.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    weighed.dedup();
    weighed.into_iter().map(|(_, root)| root).collect()
}

/// The 64-bit weight of a root for a stream.
pub fn weight(root: &str, stream: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(root.as_bytes());
    hasher.update(&[0]);
    hasher.update(stream.as_bytes());
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_those_of_every_version() {
        let golden = [
            ("root-0", "clock", 0xf503_e974_f481_9724_u64),
            ("root-1", "clock", 0x42af_ef64_5245_ca2f),
            ("root-0", "news", 0xfaad_999a_b9f1_c866),
            ("root-1", "news", 0xd21a_f5eb_b6bd_f513),
        ];
        for (root, stream, expected) in golden {
            assert_eq!(weight(root, stream), expected, "{root} {stream}");
        }
    }

    #[test]
    fn a_root_that_leaves_moves_only_its_own_streams() {
        let all = ["root-0", "root-1", "root-2", "root-3"];
        for n in 0..200 {
            let stream = format!("stream-{n}");
            let before = rank(all, &stream);
            for gone in all {
                let after = rank(all.into_iter().filter(|root| *root != gone), &stream);
                let expected: Vec<_> = before.iter().copied().filter(|r| *r != gone).collect();
                assert_eq!(after, expected);
            }
        }
    }

    #[test]
    fn the_order_in_the_file_does_not_matter() {
        assert_eq!(rank(["b", "a", "c"], "x"), rank(["c", "b", "a", "b"], "x"));
    }
}
