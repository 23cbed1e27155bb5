//! `Range: bytes=…` for a body of known length: one range, as players ask for it.
//!
//! Several ranges, other units and malformed values are ignored, as RFC 9110 allows: the whole body follows.

/// What a `Range` header means for a body of `length` bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole body: no range, or one that this server does not honour.
    Whole,
    /// Bytes `from..to`.
    Slice { from: u64, to: u64 },
    /// Nothing of the body lies inside the range.
    Unsatisfiable,
}

pub(crate) fn parse(header: &str, length: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Bound::None, Bound::At(suffix)) => {
            if suffix == 0 || length == 0 {
                return Wanted::Unsatisfiable;
            }
            Wanted::Slice {
                from: length - suffix.min(length),
                to: length,
            }
        }
        (Bound::At(from), Bound::None) if from < length => Wanted::Slice { from, to: length },
        (Bound::At(_), Bound::None) => Wanted::Unsatisfiable,
        (Bound::At(from), Bound::At(last)) if from <= last => {
            if from >= length {
                return Wanted::Unsatisfiable;
            }
            Wanted::Slice {
                from,
                to: last.saturating_add(1).min(length),
            }
        }
        _ => Wanted::Whole,
    }
}

enum Bound {
    None,
    At(u64),
    Malformed,
}

fn number(text: &str) -> Bound {
    if text.is_empty() {
        return Bound::None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Bound::Malformed;
    }
    // Digits beyond 64 bits lie behind the end of every body.
    Bound::At(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Wanted, parse};

    #[test]
    fn single_ranges_are_cut_to_the_body_and_the_rest_is_ignored() {
        let slice = |from, to| Wanted::Slice { from, to };
        let table = [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=0-", slice(0, 100)),
            ("bytes=10-19", slice(10, 20)),
            ("bytes=99-", slice(99, 100)),
            ("bytes=90-1000", slice(90, 100)),
            ("bytes=-1", slice(99, 100)),
            ("bytes=-1000", slice(0, 100)),
            ("Bytes=5-6", slice(5, 7)),
            ("bytes=0-99999999999999999999999", slice(0, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=100-200", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=20-10", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ];
        for (header, expected) in table {
            assert_eq!(parse(header, 100), expected, "{header}");
        }
        assert_eq!(parse("bytes=-5", 0), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=0-", 0), Wanted::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn any_header_gives_a_slice_inside_the_body(header in ".{0,40}", length in 0u64..1000) {
            if let Wanted::Slice { from, to } = parse(&header, length) {
                prop_assert!(from < to && to <= length);
            }
        }

        #[test]
        fn any_numbers_give_a_slice_inside_the_body(a in any::<u64>(), b in any::<u64>(), length in 0u64..) {
            if let Wanted::Slice { from, to } = parse(&format!("bytes={a}-{b}"), length) {
                prop_assert!(from < to && to <= length);
            }
        }
    }
}
