//! A configuration's text as a tree of values with their positions, before they are interpreted.
//!
//! The tree keeps the text as written: whether a word was quoted, and duplicate keys. Nothing is converted here, so that a
//! secret that consists of digits is not changed. Deep nesting and repeated aliases are bounded.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::problems::Position;

/// Settings are nested a few levels deep; more is a mistake, or an attack on the stack.
const MAX_DEPTH: usize = 32;
/// The total number of values that aliases may repeat: a few lines of aliases can expand to billions.
const MAX_REPEATED: usize = 100_000;

/// A value with its position.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Option<Position>,
    pub(super) value: Value,
    /// A tag that has no meaning in a configuration.
    pub(super) tag: Option<String>,
}

/// The kinds of values.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar(Zeroizing<String>, Style),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// YAML without quotes: text, number, boolean or null, depending on the setting.
    Plain,
    /// Always text.
    Quoted,
    /// JSON that is not text: a number, a boolean, null.
    Literal,
}

/// Why a text cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: Option<Position>,
    pub(super) what: Cow<'static, str>,
}

impl Node {
    /// Whether the value is empty: `key:`, `~`, `null`.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(_, Style::Quoted) | Value::List(_) | Value::Map(_) => false,
            Value::Scalar(text, _) => matches!(&***text, "" | "~" | "null" | "Null" | "NULL"),
        }
    }

    fn null() -> Self {
        let value = Value::Scalar(Zeroizing::default(), Style::Plain);
        Self { at: None, value, tag: None }
    }
}

/// Reads one YAML document; an empty text is null.
pub(super) fn yaml(text: &str) -> Result<Node, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut composer =
        Composer { text, events: Parser::new_from_str(text), anchors: HashMap::new(), repeated: 0 };
    let mut root = None;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamEnd => return Ok(root.unwrap_or_else(Node::null)),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if root.is_some() => {
                return Err(Malformed {
                    at: Some(position(span)),
                    what:
                        "another YAML document begins here: put all settings into one, without `---` between"
                            .into(),
                });
            }
            event => root = Some(composer.node(event, span, 0)?.0),
        }
    }
}

fn position(span: Span) -> Position {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: number(span.start.line()), column: number(span.start.col()).saturating_add(1) }
}

struct Composer<'a> {
    text: &'a str,
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Values with an anchor, each with the number of values it contains.
    anchors: HashMap<usize, (Node, usize)>,
    repeated: usize,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Malformed> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(malformed(&error, self.text)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with an event, and the number of values it contains.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<(Node, usize), Malformed> {
        let at = Some(position(span));
        if depth > MAX_DEPTH {
            let what = format!("is nested more than {MAX_DEPTH} levels deep: no setting is");
            return Err(Malformed { at, what: what.into() });
        }
        let mut size = 1;
        let (value, tag, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain if !is_text_tag(tag.as_deref()) => Style::Plain,
                    _ => Style::Quoted,
                };
                (Value::Scalar(Zeroizing::new(text.into_owned()), style), tag, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => {
                            let (node, inner) = self.node(event, span, depth + 1)?;
                            size += inner;
                            list.push(node);
                        }
                    }
                }
                (Value::List(list), tag, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let mut map = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        break;
                    }
                    let (key, key_size) = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    let (value, value_size) = self.node(event, span, depth + 1)?;
                    size += key_size + value_size;
                    map.push((key, value));
                }
                (Value::Map(map), tag, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, at),
            _ => return Err(Malformed { at, what: "the text ends in the middle of a setting".into() }),
        };
        let tag = tag.filter(|tag| !is_text_tag(Some(tag))).map(|tag| tag.to_string());
        let node = Node { at, value, tag };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Ok((node, size))
    }

    fn alias(&mut self, anchor: usize, at: Option<Position>) -> Result<(Node, usize), Malformed> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(Malformed {
                at,
                what: "an alias (*name) must refer to a complete value, whose anchor (&name) is above it"
                    .into(),
            });
        };
        self.repeated = self.repeated.saturating_add(*size);
        if self.repeated > MAX_REPEATED {
            let what = format!("the aliases (*name) up to here repeat more than {MAX_REPEATED} values");
            return Err(Malformed { at, what: what.into() });
        }
        Ok((node.clone(), *size))
    }
}

fn is_text_tag(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str")
}

/// Part of the parser's messages about tabs.
const TAB: &str = "tab";

/// Explanations of common mistakes, by a part of the parser's message.
const MISTAKES: [(&str, &str); 19] = [
    (TAB, "a tab is used where only spaces are allowed: indent with spaces"),
    ("recursion", "this is nested deeper than any setting"),
    ("flow sequence", "a list in [ ] is not closed, or lacks a comma between its entries"),
    ("flow mapping", "a map in { } is not closed, or lacks a comma between its entries"),
    ("misplaced bracket", "a closing bracket has no opening bracket"),
    ("end of stream", "a quote is not closed before the end of the file"),
    ("in quoted scalar", "a quote is not closed, or its text continues with less indentation"),
    ("document indicator", "a quote is not closed"),
    ("eof", "the file ends in the middle of a setting"),
    (
        "escape",
        "a backslash in double quotes does not begin a known escape: write \\\\ for a backslash, or use single quotes",
    ),
    ("hexadecimal", "an escape in double quotes needs hexadecimal digits: write \\\\ for a backslash"),
    (
        "trailing content",
        "there is text after a closing quote: end the line there, or put all of it into the quotes",
    ),
    ("mapping values", "a `: ` is not allowed here: put a value that contains one into quotes"),
    ("simple key", "a key needs a `:` and a space after it"),
    (
        "block sequence entries",
        "a list entry (`- `) is not allowed here: begin the list on a line of its own",
    ),
    (
        "unknown anchor",
        "an alias (*name) needs its anchor (&name) above it; put a value that begins with * into quotes",
    ),
    ("block collection", "this line is indented differently from the entries above it"),
    ("block mapping", "this line is not `key: value`, or it is indented differently from the lines above it"),
    ("indent", "this line is indented differently from the lines that it belongs to"),
];

fn malformed(error: &ScanError, text: &str) -> Malformed {
    let info = error.info().to_ascii_lowercase();
    let known = MISTAKES.into_iter().find(|(word, _)| info.contains(word));
    let mut at = position(Span::new(*error.marker(), *error.marker()));
    if known.is_some_and(|(word, _)| word == TAB) {
        at = tab_from(text, at);
    }
    let what = known.map_or(
        "this is not valid YAML: check indentation, quotes and brackets here and in the line above",
        |(_, what)| what,
    );
    Malformed { at: Some(at), what: what.into() }
}

/// The first tab in an indentation from a line on: the parser names the line where the value began.
fn tab_from(text: &str, at: Position) -> Position {
    let lines = text.lines().zip(1..).skip(at.line.saturating_sub(1) as usize);
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let tab = lines.filter_map(|(line, number)| Some((line[..indentation(line)].find('\t')?, number))).next();
    tab.map_or(at, |(column, line)| Position { line, column: column as u32 + 1 })
}

/// Reads a JSON text.
pub(super) fn json(text: &str) -> Result<Node, Malformed> {
    serde_json::from_str(text).map_err(|error| {
        let at = (error.line() > 0).then(|| Position {
            line: u32::try_from(error.line()).unwrap_or(u32::MAX),
            column: u32::try_from(error.column()).unwrap_or(u32::MAX).max(1),
        });
        let words = error.to_string();
        let what = match words.split(" at line").next().unwrap_or_default() {
            _ if error.is_eof() => "the JSON ends too early: a bracket or quote is not closed",
            "trailing comma" => "there is a comma after the last entry: remove it",
            "trailing characters" => "there is text after the end of the JSON: remove it",
            "key must be a string" => "a key must be in double quotes",
            "recursion limit exceeded" => "the JSON is nested too deeply: no setting needs that",
            _ => "this is not JSON: text needs double quotes, and entries a comma between them",
        };
        Malformed { at, what: what.into() }
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(|value| Self { at: None, value, tag: None })
    }
}

struct JsonVisitor;

impl JsonVisitor {
    fn literal<E>(text: &impl ToString) -> Result<Value, E> {
        Ok(Value::Scalar(Zeroizing::new(text.to_string()), Style::Literal))
    }
}

impl<'de> de::Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Scalar(Zeroizing::new(text.to_owned()), Style::Quoted))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Scalar(Zeroizing::new(text), Style::Quoted))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Self::literal(&value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Self::literal(&value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Self::literal(&value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Self::literal(&value)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Self::literal(&"null")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(entry) = map.next_entry()? {
            nodes.push(entry);
        }
        Ok(Value::Map(nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one() {
        let root = yaml("a:\n  - b\n  - {c: d}\n").unwrap();
        let Value::Map(map) = &root.value else { panic!("{root:?}") };
        assert_eq!(map[0].0.at, Some(Position { line: 1, column: 1 }));
        let Value::List(list) = &map[0].1.value else { panic!("{root:?}") };
        assert_eq!(list[1].at, Some(Position { line: 3, column: 5 }));
    }

    #[test]
    fn aliases_and_depth_are_bounded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let before = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [&*before; 10].join(", "));
        }
        assert!(yaml(&bomb).unwrap_err().what.contains("repeat more than"));
        assert!(yaml(&format!("a: {}{}", "[".repeat(200), "]".repeat(200))).is_err());
        assert!(yaml(&"[".repeat(1_000_000)).is_err());
        assert!(json(&"[".repeat(1_000_000)).is_err());
        assert!(yaml("a: &a [*a]").is_err());
    }

    #[test]
    fn every_way_of_writing_text_gives_the_text() {
        for (written, style) in [
            ("abc", Style::Plain),
            ("'abc'", Style::Quoted),
            ("\"a\\x62c\"", Style::Quoted),
            ("!!str abc", Style::Quoted),
        ] {
            let node = yaml(written).unwrap();
            let Value::Scalar(text, found) = &node.value else { panic!("{node:?}") };
            assert_eq!((&***text, *found, &node.tag), ("abc", style, &None), "{written}");
        }
        assert!(yaml("!mine abc").unwrap().tag.is_some());
    }
}
