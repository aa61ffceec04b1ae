//! How a log line looks: one JSON object for machines, colours for people.

use std::io::{self, Write};

use env_logger::fmt::style::{AnsiColor, Style};
use log::kv::{Key, Value, VisitSource};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object.
    Json,
    /// For people.
    Pretty {
        /// Whether colours can be seen.
        colours: bool,
    },
}

impl Format {
    /// Appends a record's line.
    pub(super) fn write(self, line: &mut Vec<u8>, record: &log::Record<'_>) -> io::Result<()> {
        match self {
            Self::Json => json(line, record),
            Self::Pretty { colours } => pretty(line, record, colours),
        }
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The level as v4.5 writes it.
fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warning",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    }
}

/// One JSON object: `time`, `level`, `target`, `message`, then the fields.
fn json(line: &mut Vec<u8>, record: &log::Record<'_>) -> io::Result<()> {
    write!(line, "{{\"time\":\"{}\"", now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))?;
    write!(line, ",\"level\":\"{}\",\"target\":", level_name(record.level()))?;
    serde_json::to_writer(&mut *line, record.target())?;
    line.extend_from_slice(b",\"message\":");
    string(line, record.args())?;
    record.key_values().visit(&mut Fields(line)).map_err(io::Error::other)?;
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// A value as a JSON string, without an allocation where it is text already.
fn string(line: &mut Vec<u8>, value: &std::fmt::Arguments<'_>) -> io::Result<()> {
    match value.as_str() {
        Some(text) => serde_json::to_writer(line, text)?,
        None => serde_json::to_writer(line, &value.to_string())?,
    }
    Ok(())
}

/// Writes fields as members of an object that is open. Absent values are left out.
struct Fields<'a>(&'a mut Vec<u8>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        if is_absent(&value) {
            return Ok(());
        }
        let line = &mut *self.0;
        line.push(b',');
        serde_json::to_writer(&mut *line, key.as_str()).map_err(log::kv::Error::boxed)?;
        line.push(b':');
        let written = if let Some(number) = value.to_u64() {
            write!(line, "{number}")
        } else if let Some(number) = value.to_f64() {
            // Three digits of a millisecond are enough, and a quarter of the characters.
            if number.is_finite() { write!(line, "{number:.3}") } else { write!(line, "null") }
        } else if let Some(flag) = value.to_bool() {
            write!(line, "{flag}")
        } else if let Some(text) = value.to_borrowed_str() {
            serde_json::to_writer(line, text).map_err(io::Error::from)
        } else {
            string(line, &format_args!("{value}"))
        };
        written.map_err(log::kv::Error::boxed)
    }
}

/// An `Option` that is `None` arrives as a null.
fn is_absent(value: &Value<'_>) -> bool {
    struct Null(bool);
    impl<'v> log::kv::VisitValue<'v> for Null {
        fn visit_any(&mut self, _: Value<'_>) -> Result<(), log::kv::Error> {
            Ok(())
        }
        fn visit_null(&mut self) -> Result<(), log::kv::Error> {
            self.0 = true;
            Ok(())
        }
    }
    let mut null = Null(false);
    let _ = value.visit(&mut null);
    null.0
}

/// For people: the time of day, the level in its colour, the message, then the fields, dimmed.
fn pretty(line: &mut Vec<u8>, record: &log::Record<'_>, colours: bool) -> io::Result<()> {
    let (level, dim) = match record.level() {
        _ if !colours => (Style::new(), Style::new()),
        level => (level_style(level), Style::new().dimmed()),
    };
    let time = now().strftime("%H:%M:%S%.3f");
    let name = level_name(record.level());
    write!(line, "{dim}{time}{dim:#} {level}{name:<7}{level:#} {}", record.args())?;
    struct Plain<'a>(&'a mut Vec<u8>);
    impl<'kvs> VisitSource<'kvs> for Plain<'_> {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
            if is_absent(&value) {
                return Ok(());
            }
            let written = match value.to_f64().filter(|_| value.to_u64().is_none()) {
                Some(number) => write!(self.0, " {key}={number:.3}"),
                None => write!(self.0, " {key}={value}"),
            };
            written.map_err(log::kv::Error::boxed)
        }
    }
    write!(line, "{dim}")?;
    record.key_values().visit(&mut Plain(line)).map_err(io::Error::other)?;
    writeln!(line, "{dim:#}")
}

fn level_style(level: log::Level) -> Style {
    match level {
        log::Level::Error => AnsiColor::Red.on_default().bold(),
        log::Level::Warn => AnsiColor::Yellow.on_default(),
        log::Level::Info => AnsiColor::Green.on_default(),
        log::Level::Debug => AnsiColor::Blue.on_default(),
        log::Level::Trace => AnsiColor::Cyan.on_default(),
    }
}
