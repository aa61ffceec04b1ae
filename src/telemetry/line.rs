//! How a log line looks: one JSON object for machines, colours for people.

use std::io::{self, Write};

use env_logger::fmt::{Formatter, style};
use log::kv::{Key, Value, VisitSource};

use super::{access, output};

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
pub(super) fn json(out: &mut Formatter, record: &log::Record<'_>) -> io::Result<()> {
    let mut line = Vec::with_capacity(512);
    write!(line, "{{\"time\":\"{}\"", now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))?;
    write!(line, ",\"level\":\"{}\",\"target\":", level_name(record.level()))?;
    serde_json::to_writer(&mut line, record.target())?;
    line.extend_from_slice(b",\"message\":");
    string(&mut line, record.args())?;
    record.key_values().visit(&mut Fields(&mut line)).map_err(io::Error::other)?;
    line.extend_from_slice(b"}\n");
    output::may_wait(record.target() == access::TARGET);
    out.write_all(&line)
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
pub(super) fn pretty(out: &mut Formatter, record: &log::Record<'_>) -> io::Result<()> {
    let level = out.default_level_style(record.level());
    let dim = style::Style::new().dimmed();
    let time = now().strftime("%H:%M:%S%.3f");
    let name = level_name(record.level());
    write!(out, "{dim}{time}{dim:#} {level}{name:<7}{level:#} {}", record.args())?;
    struct Plain<'a>(&'a mut Formatter);
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
    write!(out, "{dim}")?;
    record.key_values().visit(&mut Plain(out)).map_err(io::Error::other)?;
    writeln!(out, "{dim:#}")
}
