//! Durations and sizes as people write them: `30s`, `10m`, `64KiB`.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::{
    read::{FromNode, Reader},
    tree::Node,
};

/// A duration: a number with `ms`, `s`, `m` or `h`; a bare number counts seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

/// A size: a number with `B`, `KiB`, `MiB` or `GiB` (`K`, `M`, `G` mean the same); a bare number counts bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Why a text is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no number in front.
    #[error("{0:?} does not begin with a whole number")]
    NoNumber(String),
    /// The number itself is too large.
    #[error("{0:?} is too large")]
    Number(String),
    /// A duration with an unknown unit.
    #[error("unknown unit {unit:?} in {text:?}: write 500ms, 30s, 10m or 24h")]
    TimeUnit {
        /// The unit.
        unit: String,
        /// The duration.
        text: String,
    },
    /// A size with an unknown unit.
    #[error("unknown unit {unit:?} in {text:?}: write 4096, 64KiB, 1MiB or 2GiB")]
    SizeUnit {
        /// The unit.
        unit: String,
        /// The size.
        text: String,
    },
    /// The duration does not fit.
    #[error("{0:?} is too long")]
    TooLong(String),
    /// The size does not fit.
    #[error("{0:?} is too large a size")]
    TooLarge(String),
}

fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if digits == 0 {
        return Err(UnitError::NoNumber(text.to_owned()));
    }
    let number = text[..digits].parse().map_err(|_| UnitError::Number(text.to_owned()))?;
    Ok((number, text[digits..].trim()))
}

impl std::str::FromStr for HumanDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        let millis = match unit {
            "ms" => Some(number),
            "" | "s" => number.checked_mul(1_000),
            "m" => number.checked_mul(60_000),
            "h" => number.checked_mul(3_600_000),
            _ => return Err(UnitError::TimeUnit { unit: unit.to_owned(), text: text.to_owned() }),
        };
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| UnitError::TooLong(text.to_owned()))
    }
}

impl std::str::FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text)?;
        let shift = match unit {
            "" | "B" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return Err(UnitError::SizeUnit { unit: unit.to_owned(), text: text.to_owned() }),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| UnitError::TooLarge(text.to_owned()))
    }
}

impl FromNode for HumanDuration {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        // With a unit it is text, which may be in quotes.
        reader.measure(node, "a duration, as in 500ms, 30s, 10m or 24h", str::parse)
    }
}

impl FromNode for Size {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.measure(node, "a size, as in 4096, 64KiB, 1MiB or 2GiB", str::parse)
    }
}

/// In the largest unit that leaves no remainder.
impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
        let fits = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
        let (unit, name) = fits.unwrap_or((1_000, "s"));
        write!(f, "{}{name}", millis / unit)
    }
}

/// In the largest unit that leaves no remainder.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        let fits = units.into_iter().find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit));
        let (unit, name) = fits.unwrap_or((1, ""));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_parsed_in_common_notation() {
        assert_eq!("500ms".parse(), Ok(HumanDuration(Duration::from_millis(500))));
        assert_eq!("30".parse(), Ok(HumanDuration(Duration::from_secs(30))));
        assert_eq!("24h".parse(), Ok(HumanDuration(Duration::from_secs(86_400))));
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert_eq!("0".parse(), Ok(Size(0)));
    }

    #[test]
    fn displayed_values_parse_back_to_themselves() {
        for text in ["500ms", "30s", "10m", "24h", "0s"] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().to_string(), text);
        }
        for text in ["64KiB", "1MiB", "2GiB", "1000", "0"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_unit_is_refused_with_the_right_ones() {
        let error = "5 fortnights".parse::<HumanDuration>().unwrap_err().to_string();
        assert!(error.contains("fortnights") && error.contains("10m"), "{error}");
        assert!("64kB".parse::<Size>().unwrap_err().to_string().contains("64KiB"));
        let large = "99999999999GiB";
        assert_eq!(large.parse::<Size>(), Err(UnitError::TooLarge(large.into())));
    }
}
