//! Quantities as manifests write them: strings with a unit, never floats.
//!
//! Each type carries its pattern and length into the CRD schema and parses into one integer unit.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A text that is not the quantity it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{value}\" is not {accepted}")]
pub struct QuantityError {
    /// What was written.
    pub value: String,
    /// What is accepted, as the end of a sentence.
    pub accepted: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $pattern:expr, $max:expr, $accepted:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The pattern of the CRD schema.
            pub const PATTERN: &'static str = $pattern;
            /// What is accepted, as the end of a sentence.
            pub const ACCEPTED: &'static str = $accepted;

        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": Self::PATTERN, "maxLength": $max })
            }
        }
    };
}

quantity!(
    /// A length of time: `2s`, `500ms`, `1m30s`.
    TimeSpan,
    r"^([0-9]{1,6}(ms|s|m|h)){1,4}$",
    32,
    "a duration of whole numbers with ms, s, m or h, such as 2s, 500ms or 1m30s"
);
quantity!(
    /// A delay on a network link: `12ms`, `250us`.
    LinkDelay,
    r"^[0-9]{1,6}(us|ms|s)$",
    12,
    "a delay of one whole number with us, ms or s, such as 12ms or 250us"
);
quantity!(
    /// A rate in bits per second: `800k`, `2500k`, `10M`.
    BitRate,
    r"^[1-9][0-9]{0,9}(k|M|G)?$",
    12,
    "a rate in bit/s with an optional k, M or G, such as 800k or 10M"
);
quantity!(
    /// A share in percent: `0.5%`, `10%`.
    Percentage,
    r"^(100|[0-9]{1,2}(\.[0-9]{1,3})?)%$",
    8,
    "a percentage from 0% to 100% with at most three decimals, such as 0.5%"
);
quantity!(
    /// A size in bytes: `64Ki`, `20Gi`, `500M`.
    ByteSize,
    r"^[1-9][0-9]{0,11}(k|M|G|T|Ki|Mi|Gi|Ti)?$",
    16,
    "a size in bytes with an optional k, M, G, T, Ki, Mi, Gi or Ti, such as 20Gi"
);
quantity!(
    /// An amount of a compute resource as Kubernetes writes it: `500m`, `2`, `256Mi`.
    ResourceAmount,
    r"^[0-9]{1,12}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
    20,
    "a Kubernetes quantity such as 500m, 2 or 256Mi"
);

impl TimeSpan {
    /// The span in milliseconds.
    pub fn millis(&self) -> Result<u64, QuantityError> {
        let mut rest = self.0.as_str();
        let mut total: u64 = 0;
        let mut terms = 0;
        while !rest.is_empty() {
            let (number, after) = leading_number(rest)
                .filter(|_| terms < 4)
                .ok_or_else(|| refuse(&self.0, Self::ACCEPTED))?;
            let unit = after
                .find(|c: char| c.is_ascii_digit())
                .map_or(after, |end| &after[..end]);
            let factor = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(refuse(&self.0, Self::ACCEPTED)),
            };
            total = number
                .checked_mul(factor)
                .and_then(|n| total.checked_add(n))
                .ok_or_else(|| refuse(&self.0, Self::ACCEPTED))?;
            rest = &after[unit.len()..];
            terms += 1;
        }
        if terms == 0 {
            Err(refuse(&self.0, Self::ACCEPTED))
        } else {
            Ok(total)
        }
    }
}

impl LinkDelay {
    /// The delay in microseconds.
    pub fn micros(&self) -> Result<u64, QuantityError> {
        scaled(&self.0, &[("us", 1), ("ms", 1_000), ("s", 1_000_000)])
            .ok_or_else(|| refuse(&self.0, Self::ACCEPTED))
    }
}

impl BitRate {
    /// The rate in bits per second.
    pub fn bits_per_second(&self) -> Result<u64, QuantityError> {
        scaled(
            &self.0,
            &[
                ("", 1),
                ("k", 1_000),
                ("M", 1_000_000),
                ("G", 1_000_000_000),
            ],
        )
        .filter(|rate| *rate > 0)
        .ok_or_else(|| refuse(&self.0, Self::ACCEPTED))
    }
}

impl ByteSize {
    /// The size in bytes.
    pub fn bytes(&self) -> Result<u64, QuantityError> {
        const UNITS: [(&str, u64); 9] = [
            ("", 1),
            ("k", 1_000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
            ("T", 1_000_000_000_000),
            ("Ki", 1 << 10),
            ("Mi", 1 << 20),
            ("Gi", 1 << 30),
            ("Ti", 1 << 40),
        ];
        scaled(&self.0, &UNITS)
            .filter(|size| *size > 0)
            .ok_or_else(|| refuse(&self.0, Self::ACCEPTED))
    }
}

impl Percentage {
    /// The share in thousandths of a percent (parts per 100 000).
    pub fn per_hundred_thousand(&self) -> Result<u32, QuantityError> {
        let number = self
            .0
            .strip_suffix('%')
            .ok_or_else(|| refuse(&self.0, Self::ACCEPTED))?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(refuse(&self.0, Self::ACCEPTED));
        }
        let whole: u32 = whole.parse().map_err(|_| refuse(&self.0, Self::ACCEPTED))?;
        let decimals: u32 = format!("{decimals:0<3}")
            .parse()
            .map_err(|_| refuse(&self.0, Self::ACCEPTED))?;
        let share = whole * 1_000 + decimals;
        if share <= 100_000 {
            Ok(share)
        } else {
            Err(refuse(&self.0, Self::ACCEPTED))
        }
    }
}

/// A quantity as Kubernetes writes it, such as `500m`, `1.5Gi` or `2`, in billionths; what is finer is dropped.
///
/// `None` for what is none, has a leading zero, or is beyond any machine. Exponents are not read.
pub fn billionths(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 16] = [
        ("n", 1),
        ("u", 1_000),
        ("m", 1_000_000),
        ("", ONE),
        ("k", ONE * 1_000),
        ("M", ONE * 1_000_000),
        ("G", ONE * 1_000_000_000),
        ("T", ONE * 1_000_000_000_000),
        ("P", ONE * 1_000_000_000_000_000),
        ("E", ONE * 1_000_000_000_000_000_000),
        ("Ki", ONE << 10),
        ("Mi", ONE << 20),
        ("Gi", ONE << 30),
        ("Ti", ONE << 40),
        ("Pi", ONE << 50),
        ("Ei", ONE << 60),
    ];
    const ONE: i128 = 1_000_000_000;
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (whole != "0" && whole.starts_with('0')) || part.len() > 9 {
        return None;
    }
    let digits: i128 = format!("{whole}{part}").parse().ok()?;
    let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
    Some(digits.checked_mul(*factor)? / scale)
}

fn refuse(value: &str, accepted: &'static str) -> QuantityError {
    QuantityError {
        value: value.to_owned(),
        accepted,
    }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (1..=12)
        .contains(&end)
        .then(|| text[..end].parse().ok().map(|n| (n, &text[end..])))?
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = leading_number(text)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_milliseconds() {
        for (text, expected) in [
            ("2s", 2_000),
            ("333ms", 333),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            assert_eq!(TimeSpan::from(text).millis(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "2",
            "s",
            "1.5s",
            "-1s",
            "2 s",
            "2d",
            "999999999999999h",
            "1s1s1s1s1s",
        ] {
            assert!(TimeSpan::from(bad).millis().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_sizes_delays_and_shares_have_one_integer_unit() {
        assert_eq!(BitRate::from("2500k").bits_per_second(), Ok(2_500_000));
        assert_eq!(ByteSize::from("64Ki").bytes(), Ok(65_536));
        assert_eq!(LinkDelay::from("250us").micros(), Ok(250));
        assert_eq!(Percentage::from("0.5%").per_hundred_thousand(), Ok(500));
        assert_eq!(Percentage::from("100%").per_hundred_thousand(), Ok(100_000));
        for bad in ["100.1%", "5", "%", "1.2345%", "+5%", "-1%"] {
            assert!(
                Percentage::from(bad).per_hundred_thousand().is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn quantities_of_kubernetes_are_equal_when_their_values_are() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("128974848000m", "123Mi"),
            ("1Pi", "1024Ti"),
            ("0", "0Mi"),
        ] {
            assert!(billionths(one).is_some(), "{one}");
            assert_eq!(billionths(one), billionths(other), "{one} {other}");
        }
        for none in [
            "",
            "m",
            "01",
            ".5",
            "1.2.3",
            "1e3",
            "-1",
            "1 ",
            "1mi",
            "99999999999999999999999Ei",
        ] {
            assert_eq!(billionths(none), None, "{none}");
        }
    }

    #[test]
    fn a_refusal_names_the_value_and_what_is_accepted() {
        let error = BitRate::from("fast").bits_per_second().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"fast\" is not a rate in bit/s with an optional k, M or G, such as 800k or 10M"
        );
    }
}
