//! Annex B to length-prefixed NAL units, as MP4 stores H.264.

/// Splits Annex B data into NAL units without start codes and trailing zeros.
pub(crate) fn units(data: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at + 2 < data.len() {
        if data[at] == 0 && data[at + 1] == 0 && data[at + 2] == 1 {
            if let Some(from) = start {
                units.push(trim(&data[from..at]));
            }
            start = Some(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    if let Some(from) = start {
        units.push(trim(&data[from..]));
    }
    units.retain(|unit| !unit.is_empty());
    units
}

/// The same units with four-byte lengths. Parameter sets and delimiters are left out: they live in the init segment.
pub(crate) fn length_prefixed(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 16);
    for unit in units(data) {
        if matches!(unit[0] & 0x1f, SPS | PPS | DELIMITER) {
            continue;
        }
        let length = u32::try_from(unit.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(unit);
    }
    out
}

fn trim(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    &unit[..end]
}

const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_become_length_prefixed_and_parameter_sets_stay_out() {
        let data = [
            &[0, 0, 0, 1, 0x67, 1, 2][..],
            &[0, 0, 1, 0x68, 3],
            &[0, 0, 0, 1, 0x65, 9, 0, 0, 3, 1, 0],
            &[0, 0, 1, 0x41, 7],
        ]
        .concat();
        let expected = [0, 0, 0, 6, 0x65, 9, 0, 0, 3, 1, 0, 0, 0, 2, 0x41, 7];
        assert_eq!(length_prefixed(&data), expected);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(data: Vec<u8>) {
            let _ = length_prefixed(&data);
        }
    }
}
