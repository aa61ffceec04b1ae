//! The format of a log line: one JSON object for machines, colours for people.

use std::{
    cell::RefCell,
    fmt::Arguments,
    io::{self, Write},
    time::Duration,
};

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
        let from = (record.level(), record.target());
        self.write_fields(line, from, record.args(), |fields| record.key_values().visit(fields))
    }

    /// Appends a line whose fields the caller writes; if it knows their kinds, without a look at them.
    pub(super) fn write_fields(
        self,
        line: &mut Vec<u8>,
        (level, target): (log::Level, &str),
        message: &Arguments<'_>,
        fields: impl FnOnce(&mut Fields<'_>) -> Result<(), log::kv::Error>,
    ) -> io::Result<()> {
        match self {
            Self::Json => {
                json_start(line, level, target, message);
                fields(&mut Fields { line, json: true }).map_err(io::Error::other)?;
                line.extend_from_slice(b"}\n");
            }
            Self::Pretty { colours } => {
                let dim = pretty_start(line, level, colours, message)?;
                fields(&mut Fields { line, json: false }).map_err(io::Error::other)?;
                writeln!(line, "{dim:#}")?;
            }
        }
        Ok(())
    }
}

/// Writes fields to a line that is open. Absent values are left out.
pub(super) struct Fields<'a> {
    line: &'a mut Vec<u8>,
    json: bool,
}

impl Fields<'_> {
    fn key(&mut self, key: &str) {
        if self.json {
            self.line.push(b',');
            json_string(self.line, key);
            self.line.push(b':');
        } else {
            self.line.push(b' ');
            self.line.extend_from_slice(key.as_bytes());
            self.line.push(b'=');
        }
    }

    /// A text.
    pub(super) fn text<'t>(&mut self, key: &str, value: impl Into<Option<&'t str>>) {
        let Some(text) = value.into() else { return };
        self.key(key);
        if self.json {
            json_string(self.line, text);
        } else {
            self.line.extend_from_slice(text.as_bytes());
        }
    }

    /// A number.
    pub(super) fn number(&mut self, key: &str, value: impl Into<Option<u64>>) {
        let Some(number) = value.into() else { return };
        self.key(key);
        self.line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// A duration in milliseconds.
    pub(super) fn millis(&mut self, key: &str, value: impl Into<Option<Duration>>) {
        let Some(duration) = value.into() else { return };
        self.key(key);
        // Three digits of a millisecond are enough, and a quarter of the characters.
        let micros = (duration + Duration::from_nanos(500)).as_micros();
        self.line.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
        push_three_digits(self.line, (micros % 1000) as u32);
    }
}

/// Fields of any kind, as `log` has them.
impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        if is_absent(&value) {
            return Ok(());
        }
        let key = key.as_str();
        if let Some(number) = value.to_u64() {
            self.number(key, number);
        } else if let Some(number) = value.to_f64() {
            self.key(key);
            // Three digits of a millisecond are enough, and a quarter of the characters.
            let written = match self.json && !number.is_finite() {
                true => write!(self.line, "null"),
                false => write!(self.line, "{number:.3}"),
            };
            written.map_err(log::kv::Error::boxed)?;
        } else if let Some(flag) = value.to_bool() {
            self.key(key);
            self.line.extend_from_slice(if flag { b"true" } else { b"false" });
        } else if let Some(text) = value.to_borrowed_str() {
            self.text(key, text);
        } else if self.json {
            self.text(key, value.to_string().as_str());
        } else {
            self.key(key);
            write!(self.line, "{value}").map_err(log::kv::Error::boxed)?;
        }
        Ok(())
    }
}

/// `.` and three digits of a number below 1000.
fn push_three_digits(line: &mut Vec<u8>, number: u32) {
    let digit = |number: u32| b'0' + (number % 10) as u8;
    line.extend_from_slice(&[b'.', digit(number / 100), digit(number / 10), digit(number)]);
}

/// The time in UTC to the millisecond (RFC 3339). What lines of the same second have in common is formatted once.
fn push_time(line: &mut Vec<u8>) {
    thread_local! {
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let now = jiff::Timestamp::now();
    let text = |second: &mut (i64, String)| {
        if second.0 != now.as_second() {
            *second = (now.as_second(), now.strftime("%Y-%m-%dT%H:%M:%S").to_string());
        }
        line.extend_from_slice(second.1.as_bytes());
    };
    SECOND.with_borrow_mut(text);
    push_three_digits(line, now.subsec_millisecond().unsigned_abs());
    line.push(b'Z');
}

/// A text as a JSON string. Few have anything to escape.
fn json_string(line: &mut Vec<u8>, text: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        // Memory takes what it writes.
        let _ = serde_json::to_writer(line, text);
    }
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

/// What every object begins with: `time`, `level`, `target`, `message`.
fn json_start(line: &mut Vec<u8>, level: log::Level, target: &str, message: &Arguments<'_>) {
    line.extend_from_slice(b"{\"time\":\"");
    push_time(line);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(level_name(level).as_bytes());
    line.extend_from_slice(b"\",\"target\":");
    json_string(line, target);
    line.extend_from_slice(b",\"message\":");
    match message.as_str() {
        Some(text) => json_string(line, text),
        None => json_string(line, &message.to_string()),
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

/// What every line for people begins with: the time of day, the level in its colour, the message. Gives the style
/// of what follows, which has begun.
fn pretty_start(
    line: &mut Vec<u8>,
    level: log::Level,
    colours: bool,
    message: &Arguments<'_>,
) -> io::Result<Style> {
    let (style, dim) =
        if colours { (level_style(level), Style::new().dimmed()) } else { (Style::new(), Style::new()) };
    let (time, name) = (jiff::Timestamp::now().strftime("%H:%M:%S%.3f"), level_name(level));
    write!(line, "{dim}{time}{dim:#} {style}{name:<7}{style:#} {message}{dim}")?;
    Ok(dim)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, fields: impl FnOnce(&mut Fields<'_>)) -> String {
        let mut line = Vec::new();
        let fields = |open: &mut Fields<'_>| {
            fields(open);
            Ok(())
        };
        format
            .write_fields(&mut line, (log::Level::Info, "target"), &format_args!("done"), fields)
            .expect("memory");
        String::from_utf8(line).expect("text")
    }

    #[test]
    fn fields_that_are_known_look_as_those_of_log_do() {
        let line = written(Format::Json, |fields| {
            fields.text("plain", "caf\u{e9}");
            fields.text("escaped", "a\"b\\c\n\u{1}");
            fields.text("absent", None);
            fields.number("number", 17);
            fields.millis("rounded", Duration::from_nanos(1_234_567));
            fields.millis("short", Duration::from_nanos(4_499));
        });
        let mut through_log = Vec::new();
        let absent: Option<&str> = None;
        let values = [
            ("plain", Value::from("caf\u{e9}")),
            ("escaped", "a\"b\\c\n\u{1}".into()),
            ("absent", log::kv::ToValue::to_value(&absent)),
            ("number", 17.into()),
            ("rounded", 1.234_567.into()),
            ("short", 0.004_499.into()),
        ];
        let record = log::Record::builder()
            .level(log::Level::Info)
            .target("target")
            .args(format_args!("done"))
            .key_values(&values)
            .build();
        Format::Json.write(&mut through_log, &record).expect("memory");
        let without_time = |line: &str| line.split_once("Z\"").map(|(_, rest)| rest.to_owned());
        assert_eq!(without_time(&line), without_time(std::str::from_utf8(&through_log).expect("text")));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert!(value["time"].as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()));
        assert_eq!(value["rounded"], 1.235);
    }

    #[test]
    fn people_get_the_same_fields() {
        let line = written(Format::Pretty { colours: false }, |fields| {
            fields.text("text", "a b");
            fields.text("absent", None);
            fields.number("number", 17);
            fields.millis("millis", Duration::from_micros(1_500));
        });
        assert!(line.ends_with("info    done text=a b number=17 millis=1.500\n"), "{line}");
    }
}
