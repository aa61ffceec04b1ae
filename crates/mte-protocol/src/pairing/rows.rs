//! Reads a JSON array of objects into rows of texts, one per wanted field. Names the pair and the field that
//! do not fit, stops at the first pair too many, and borrows what has no escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{Field, PairingError, Problem};

pub(super) type Row<'a, const N: usize> = [Cow<'a, str>; N];

/// Reads `body`: 1 to `max` objects that each have all of `fields`, as strings. Other fields are passed over.
pub(super) fn read<'a, const N: usize>(
    body: &'a [u8],
    fields: &[Field; N],
    max: usize,
) -> Result<Vec<Row<'a, N>>, PairingError> {
    let mut found = Found { index: None, error: None };
    let mut json = serde_json::Deserializer::from_slice(body);
    let rows = json.deserialize_seq(Rows { fields, max, found: &mut found }).and_then(|rows| {
        found.index = None;
        json.end().map(|()| rows)
    });
    match rows {
        Ok(rows) if rows.is_empty() => Err(PairingError::body(Problem::Empty)),
        Ok(rows) => Ok(rows),
        Err(error) => Err(found.error.unwrap_or_else(|| PairingError {
            index: found.index,
            field: None,
            problem: Problem::Json(error.to_string()),
        })),
    }
}

/// What serde's errors cannot carry: the reader's position, and what it refused there.
struct Found {
    index: Option<usize>,
    error: Option<PairingError>,
}

impl Found {
    fn refuse<E: serde::de::Error>(&mut self, error: PairingError) -> E {
        self.error = Some(error);
        E::custom("refused")
    }
}

struct Rows<'f, const N: usize> {
    fields: &'f [Field; N],
    max: usize,
    found: &'f mut Found,
}

impl<'a, const N: usize> Visitor<'a> for Rows<'_, N> {
    type Value = Vec<Row<'a, N>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array of pairs")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        loop {
            if rows.len() == self.max {
                if array.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(rows);
                }
                return Err(self.found.refuse(PairingError::body(Problem::TooMany { max: self.max })));
            }
            self.found.index = Some(rows.len());
            let row = OneRow { fields: self.fields, index: rows.len(), found: self.found };
            match array.next_element_seed(row)? {
                Some(row) => rows.push(row),
                None => return Ok(rows),
            }
        }
    }
}

struct OneRow<'f, const N: usize> {
    fields: &'f [Field; N],
    index: usize,
    found: &'f mut Found,
}

impl<'a, const N: usize> DeserializeSeed<'a> for OneRow<'_, N> {
    type Value = Row<'a, N>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for OneRow<'_, N> {
    type Value = Row<'a, N>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object with the fields of a pair")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row: [Option<Cow<'a, str>>; N] = [const { None }; N];
        while let Some(Cell(key)) = map.next_key_seed(AnyCell)? {
            let key = key.ok_or_else(|| A::Error::custom("a key is not a string"))?;
            let Some(column) = self.fields.iter().position(|field| field.name() == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let mut refuse =
                |problem| self.found.refuse(PairingError::field(self.index, self.fields[column], problem));
            if row[column].is_some() {
                return Err(refuse(Problem::Repeated));
            }
            let Cell(text) = map.next_value_seed(AnyCell)?;
            row[column] = Some(text.ok_or_else(|| refuse(Problem::NotText))?);
        }
        if let Some(column) = row.iter().position(Option::is_none) {
            return Err(self.found.refuse(PairingError::field(
                self.index,
                self.fields[column],
                Problem::Missing,
            )));
        }
        Ok(row.map(Option::unwrap_or_default))
    }
}

/// A text, or `None` for any other value.
struct Cell<'a>(Option<Cow<'a, str>>);

struct AnyCell;

impl<'a> DeserializeSeed<'a> for AnyCell {
    type Value = Cell<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Cell<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for AnyCell {
    type Value = Cell<'a>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Cell<'a>, E> {
        Ok(Cell(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'a>, E> {
        Ok(Cell(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Cell<'a>, E> {
        Ok(Cell(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Cell<'a>, E> {
        Ok(Cell(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Cell<'a>, E> {
        Ok(Cell(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Cell<'a>, E> {
        Ok(Cell(None))
    }

    fn visit_unit<E>(self) -> Result<Cell<'a>, E> {
        Ok(Cell(None))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<Cell<'a>, A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell(None))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Cell<'a>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell(None))
    }
}
