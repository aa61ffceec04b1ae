//! Reads settings from a [`Node`]: parses every value as its setting's type, and reports every problem with its place.
//!
//! A setting that cannot be read is reported and keeps its default, so that the others are still checked.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{
    env::Environment,
    problems::{Findings, Place},
    secret::Secret,
    substitute::substitute,
    tree::{Node, Style, Value},
};

/// Names less similar than this are not suggested.
const ALIKE: f64 = 0.75;

/// Why a text is not a valid value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("{0:?} is neither true nor false")]
    NotBool(String),
    #[error("{0:?} is not a whole number")]
    NotWhole(String),
    #[error("{text} is too large: the maximum is {max}")]
    TooLarge { text: String, max: u64 },
    #[error("{0:?} is not a number, as in 0.5")]
    NotNumber(String),
    #[error("{text:?} is not one of {known}")]
    NoneOf { text: String, known: String },
}

/// A setting, or a group of them.
pub(super) trait FromNode: Sized {
    /// Reads it; `None` if a problem was reported.
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

/// The reader's position.
pub(super) struct Reader<'a> {
    source: Arc<str>,
    /// The environment for `${NAME}`; without it, `${` has no special meaning.
    env: Option<&'a dyn Environment>,
    problems: &'a mut Findings,
    /// The full name of the setting that is being read.
    path: String,
    /// Its position, as far as known.
    at: Place,
}

impl<'a> Reader<'a> {
    /// Reads from `source`; `path` is the setting that the text is the value of, empty for all settings.
    pub(super) fn new(
        source: &str,
        path: &str,
        env: Option<&'a dyn Environment>,
        problems: &'a mut Findings,
    ) -> Self {
        let source: Arc<str> = source.into();
        let at = Place { source: source.clone(), at: None };
        Self { source, env, problems, path: path.to_owned(), at }
    }

    /// Reports that the current setting cannot be read.
    pub(super) fn problem<T>(&mut self, what: impl Into<String>) -> Option<T> {
        match self.path.as_str() {
            // The root of the text is not a setting.
            "" => self.problems.add_at(self.at.clone(), what),
            path => self.problems.add_unread(path, self.at.clone(), what),
        }
        None
    }

    /// Reads a value below this one, under its own name.
    fn below<T>(&mut self, step: &str, node: &Node, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if length > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let at = node.at.or(self.at.at);
        let outer = std::mem::replace(&mut self.at, Place { source: self.source.clone(), at });
        self.problems.places.set(&self.path, self.at.clone());
        let value = read(self);
        self.path.truncate(length);
        self.at = outer;
        value
    }

    /// A setting below this one, by its key.
    pub(super) fn field<T: FromNode>(&mut self, key: &str, node: &Node) -> Option<T> {
        self.below(key, node, |reader| T::from_node(node, reader))
    }

    /// A scalar's text, and how it was written. A list, a map or an empty value is a problem.
    fn scalar<'n>(&mut self, node: &'n Node, wanted: &str) -> Option<(Zeroizing<String>, &'n str, Style)> {
        if let Some(tag) = &node.tag {
            return self.problem(format!("the tag {tag} is not supported: remove it"));
        }
        let (text, style) = match &node.value {
            Value::List(_) => return self.problem(format!("is a list, but must be {wanted}")),
            Value::Map(_) => return self.problem(format!("is a map, but must be {wanted}")),
            Value::Scalar(..) if node.is_null() => {
                return self.problem(format!("has no value: give {wanted}, or remove the key"));
            }
            Value::Scalar(text, style) => (text, *style),
        };
        let Some(env) = self.env else { return Some((text.clone(), text, style)) };
        match substitute(text, env) {
            Ok(value) => {
                // A variable's value has the type that the setting needs, in quotes or not.
                let style = if value.is_changed() { Style::Plain } else { style };
                Some((Zeroizing::new(value.into_string()), text, style))
            }
            Err(unresolved) => self.problem(unresolved.to_string()),
        }
    }

    /// Text, as it is written.
    pub(super) fn text(&mut self, node: &Node, wanted: &str) -> Option<Zeroizing<String>> {
        match self.scalar(node, wanted)? {
            // The value is not shown: it may be a secret.
            (_, _, Style::Literal) => self.problem(format!("must be {wanted}: put it into double quotes")),
            (text, ..) => Some(text),
        }
    }

    /// A value that must be written without quotes: a number, a boolean.
    pub(super) fn word<T, E: fmt::Display>(
        &mut self,
        node: &Node,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (text, written, style) = self.scalar(node, wanted)?;
        if style == Style::Quoted && parse(&text).is_ok() {
            return self.problem(format!("must be {wanted}: write {} without quotes", &*text));
        }
        self.parsed(&text, written, wanted, parse)
    }

    /// A value that is parsed from text, with or without quotes.
    pub(super) fn measure<T, E: fmt::Display>(
        &mut self,
        node: &Node,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let (text, written, _) = self.scalar(node, wanted)?;
        self.parsed(&text, written, wanted, parse)
    }

    /// Problems show what was written, never a variable's value.
    fn parsed<T, E: fmt::Display>(
        &mut self,
        text: &str,
        written: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(_) if written != text => {
                self.problem(format!("must be {wanted}, but the value of {written} is not"))
            }
            Err(why) => self.problem(why.to_string()),
        }
    }

    /// The entries of a map, each key once; none for a key without a value. `None` if it is not a map.
    fn entries<'n>(&mut self, node: &'n Node) -> Option<Vec<(String, &'n Node)>> {
        if let Some(tag) = &node.tag {
            return self.problem(format!("the tag {tag} is not supported: remove it"));
        }
        let map = match &node.value {
            Value::Map(map) => map,
            _ if node.is_null() => return Some(Vec::new()),
            Value::List(_) => return self.problem("is a list, but must be a map: write `key: value`"),
            Value::Scalar(..) => return self.problem("must be a map: write `key: value` below it"),
        };
        let mut entries = Vec::with_capacity(map.len());
        let mut seen: HashMap<String, Place> = HashMap::new();
        for (key, value) in map {
            let Some(name) = self.key(key) else { continue };
            let place = Place { source: self.source.clone(), at: key.at.or(self.at.at) };
            if let Some(first) = seen.get(&name) {
                let first = first.at.map_or_else(String::new, |at| format!(" (first on line {})", at.line));
                let what = format!("this key is listed twice{first}: keep one of the two");
                self.below(&name, key, |reader| reader.problem::<()>(what));
                continue;
            }
            seen.insert(name.clone(), place);
            entries.push((name, value));
        }
        Some(entries)
    }

    fn key(&mut self, key: &Node) -> Option<String> {
        let Value::Scalar(text, style) = &key.value else {
            let at = Place { source: self.source.clone(), at: key.at.or(self.at.at) };
            let outer = std::mem::replace(&mut self.at, at);
            self.problem::<()>("a key must be text, not a list or a map");
            self.at = outer;
            return None;
        };
        let written = text.as_str();
        if written == "<<" && *style == Style::Plain {
            let what =
                "merge keys are not supported: repeat the settings, or give one key an alias (`tls: *name`)";
            return self.below(written, key, |reader| reader.problem(what));
        }
        let Some(env) = self.env else { return Some(written.to_owned()) };
        match substitute(written, env) {
            Ok(name) => Some(name.into_string()),
            Err(unresolved) => {
                // Its entries are still checked.
                self.below(written, key, |reader| reader.problem::<()>(unresolved.to_string()));
                Some(written.to_owned())
            }
        }
    }

    /// The entries of a group of settings; keys that it does not have are reported.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<Vec<(String, &'n Node)>> {
        let keys: HashMap<&str, &Node> = match &node.value {
            Value::Map(map) => map.iter().filter_map(|(key, _)| Some((key.as_key()?, key))).collect(),
            _ => HashMap::new(),
        };
        let mut entries = self.entries(node)?;
        entries.retain(|(name, value)| {
            let is_known = known.contains(&name.as_str());
            if !is_known {
                let key = keys.get(name.as_str()).copied().unwrap_or(value);
                self.unknown(name, key, known);
            }
            is_known
        });
        Some(entries)
    }

    fn unknown(&mut self, name: &str, key: &Node, known: &[&str]) {
        let alike = known.iter().map(|known| (strsim::jaro_winkler(name, known), known));
        let nearest = alike.filter(|(likeness, _)| *likeness > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
        let nearest = nearest.map(|(_, known)| known);
        if let Some(nearest) = nearest {
            let dot = if self.path.is_empty() { "" } else { "." };
            self.problems.set_unread(format!("{}{dot}{nearest}", self.path));
        }
        let what = match nearest {
            Some(nearest) => format!("unknown key; did you mean `{nearest}`?"),
            None => format!("unknown key; the keys here are {}", known.join(", ")),
        };
        self.below(name, key, |reader| reader.problem::<()>(what));
    }

    /// The entries of a list; none for a key without a value.
    fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.value {
            _ if node.tag.is_some() => self.problem("this tag is not supported: remove it"),
            Value::List(list) => Some(list),
            _ if node.is_null() => Some(&[]),
            Value::Map(_) => self.problem("is a map, but must be a list: write [one, two]"),
            Value::Scalar(..) => {
                self.problem("must be a list: put the value into brackets, as in [one, two]")
            }
        }
    }
}

impl Node {
    /// Its text, if it can be a key.
    fn as_key(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text, _) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }
}

impl FromNode for String {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.text(node, "text").map(|mut text| std::mem::take(&mut *text))
    }
}

impl FromNode for PathBuf {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let path = reader.text(node, "a path")?;
        if path.is_empty() || path.contains('\0') {
            return reader.problem("is not a path");
        }
        Some(Self::from(&*path))
    }
}

impl FromNode for Secret {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut text = reader.text(node, "text")?;
        Some(std::mem::take(&mut *text).into())
    }
}

impl FromNode for bool {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.word(node, "true or false", |text| match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(ValueError::NotBool(text.to_owned())),
        })
    }
}

/// Whole numbers.
macro_rules! whole_numbers {
    ($($type:ty),*) => { $(
        impl FromNode for $type {
            fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                reader.word(node, "a whole number", |text| {
                    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                    match text.parse() {
                        Ok(number) if digits => Ok(number),
                        _ if digits => {
                            Err(ValueError::TooLarge { text: text.to_owned(), max: <$type>::MAX as u64 })
                        }
                        _ => Err(ValueError::NotWhole(text.to_owned())),
                    }
                })
            }
        }
    )* };
}

whole_numbers!(u16, u32, u64, usize);

impl FromNode for f64 {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        reader.word(node, "a number", |text| match text.parse() {
            Ok(number) if Self::is_finite(number) => Ok(number),
            _ => Err(ValueError::NotNumber(text.to_owned())),
        })
    }
}

impl<T: FromNode> FromNode for Option<T> {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::from_node(node, reader).map(Some) }
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let list = reader.list(node)?.iter().enumerate();
        // All entries are read before the list is given up, so that every problem is reported.
        let read: Vec<_> = list.map(|(index, node)| reader.field(&format!("[{index}]"), node)).collect();
        read.into_iter().collect()
    }
}

impl<T: FromNode> FromNode for BTreeMap<String, T> {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = reader.entries(node)?;
        let read = entries.into_iter().filter_map(|(key, node)| {
            let value = reader.field(&key, node)?;
            Some((key, value))
        });
        Some(read.collect())
    }
}

/// Implements [`FromNode`] for a setting with a fixed set of words as values.
macro_rules! words {
    ($type:ty { $($word:literal => $value:expr,)* }) => {
        impl $crate::config::read::FromNode for $type {
            fn from_node(
                node: &$crate::config::tree::Node,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                let known = [$($word),*].join(", ");
                reader.measure(node, &format!("one of {known}"), |text| match text {
                    $($word => Ok($value),)*
                    other => Err($crate::config::read::ValueError::NoneOf {
                        text: other.to_owned(),
                        known: known.clone(),
                    }),
                })
            }
        }
    };
}

pub(super) use words;
