//! Lines of `segments.log`: `<local> <short|long> <bytes> <sha256>`. Anything else is skipped, never a panic.

/// One prepared segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) local: u32,
    pub(crate) long: bool,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

impl Entry {
    pub(super) fn line(&self) -> String {
        let variant = if self.long { "long" } else { "short" };
        let hash = data_encoding::HEXLOWER.encode(&self.sha256);
        format!("{} {variant} {} {hash}\n", self.local, self.bytes)
    }
}

/// All entries of a log that may end in half a line.
pub(super) fn parse(log: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    log.split_inclusive(|b| *b == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let mut words = line.split(' ');
        let local = words.next()?.parse().ok()?;
        let long = match words.next()? {
            "short" => false,
            "long" => true,
            _ => return None,
        };
        let bytes = words.next()?.parse().ok()?;
        let sha256 = data_encoding::HEXLOWER
            .decode(words.next()?.as_bytes())
            .ok()?
            .try_into()
            .ok()?;
        words.next().is_none().then_some(Entry {
            local,
            long,
            bytes,
            sha256,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_survive_their_lines_between_arbitrary_bytes(
            local: u32, long: bool, bytes: u64, sha256: [u8; 32], before: Vec<u8>, after: Vec<u8>,
        ) {
            let entry = Entry { local, long, bytes, sha256 };
            let log = [&before[..], b"\n", entry.line().as_bytes(), &after].concat();
            prop_assert!(parse(&log).any(|found| found == entry));
        }

        #[test]
        fn a_cut_line_is_not_believed(local: u32, bytes: u64, sha256: [u8; 32], cut in 1usize..60) {
            let line = Entry { local, long: false, bytes, sha256 }.line();
            prop_assert_eq!(parse(&line.as_bytes()[..line.len() - cut]).count(), 0);
        }
    }
}
