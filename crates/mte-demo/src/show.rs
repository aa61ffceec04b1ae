//! Screen output. Lines are aligned and fit into [`WIDTH`]; colours only if the output is a terminal
//! that supports them.

use std::{
    env,
    io::{IsTerminal, Write},
};

/// Characters in a line.
pub(crate) const WIDTH: usize = 98;
/// Bytes shown in hexadecimal at most.
const HEX: usize = 18;
/// Where text begins, behind the margin and a label.
const INDENT: usize = 17;

/// Whose lines.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Client,
    Wire,
    Upstream,
    /// What is said about them.
    Us,
}

impl Who {
    fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Wire => "on the wire",
            Self::Upstream => "upstream",
            Self::Us => "",
        }
    }

    fn colour(self) -> Style {
        match self {
            Self::Client => Style::Cyan,
            Self::Wire => Style::Yellow,
            Self::Upstream => Style::Green,
            Self::Us => Style::Plain,
        }
    }
}

/// How text looks on a terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

/// Standard output.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    colour: bool,
}

impl Screen {
    /// With colours on a terminal, unless `plain` or `NO_COLOR` ask for none.
    pub(crate) fn new(plain: bool) -> Self {
        let unwanted = |name, value: Option<&str>| {
            env::var(name).is_ok_and(|set| value.map_or(!set.is_empty(), |value| set == value))
        };
        let colour =
            !plain && is_terminal() && !unwanted("NO_COLOR", None) && !unwanted("TERM", Some("dumb"));
        Self { colour }
    }

    /// One line as it is.
    pub(crate) fn line(self, text: &str) {
        // If standard output is closed, there is nothing to do.
        let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
    }

    /// The text of a line in colour.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Red => "1;31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Cyan => "36",
            Style::Plain => return text.to_owned(),
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The headline of a scene, with a remark at its right.
    pub(crate) fn title(self, number: usize, text: &str, remark: &str) {
        let gap = WIDTH.saturating_sub(4 + text.chars().count() + remark.chars().count());
        let text = self.paint(Style::Bold, &format!("{number:>2}  {text}"));
        self.line("");
        self.line(&format!("{text}{}{}", " ".repeat(gap), self.paint(Style::Dim, remark)));
    }

    /// Some lines of one party, the first with its label.
    pub(crate) fn block(self, who: Who, lines: &[String]) {
        let mut label = who.label();
        for line in lines {
            let label = std::mem::take(&mut label);
            let painted = self.paint(who.colour(), &format!("{label:<width$}", width = INDENT - 4));
            self.line(&format!("    {painted}{}", shorten(&clean(line), WIDTH - INDENT)));
        }
    }

    /// A paragraph.
    pub(crate) fn prose(self, text: &str) {
        for line in wrap(text, WIDTH - 4) {
            self.line(&format!("    {line}"));
        }
    }

    /// The checks: those that hold on one line, those that do not separately.
    pub(crate) fn checks(self, checks: &[(String, bool)]) {
        let held: Vec<&str> =
            checks.iter().filter(|(_, held)| *held).map(|(what, _)| what.as_str()).collect();
        if !held.is_empty() {
            for (index, line) in wrap(&held.join("; "), WIDTH - INDENT).iter().enumerate() {
                let mark = if index == 0 { "ok" } else { "" };
                let mark = self.paint(Style::Green, &format!("{mark:<width$}", width = INDENT - 4));
                self.line(&format!("    {mark}{}", self.paint(Style::Dim, line)));
            }
        }
        for (what, _) in checks.iter().filter(|(_, held)| !held) {
            self.failure(what);
        }
    }

    /// Something that is not as it should be.
    pub(crate) fn failure(self, what: &str) {
        let mark = self.paint(Style::Red, &format!("{:<width$}", "NOT OK", width = INDENT - 4));
        self.line(&format!("    {mark}{}", clean(what)));
    }
}

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The text without what could move the cursor.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{b7}' } else { c }).collect()
}

/// At most `max` characters, the last an ellipsis if some are missing.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// `left`, and `right` at the end of a block's line; `left` is shortened to fit.
pub(crate) fn spread(left: &str, right: &str) -> String {
    let room = WIDTH - INDENT - right.chars().count() - 2;
    let left = shorten(left, room);
    format!("{left:<width$}{right}", width = room + 2)
}

/// The first bytes in hexadecimal, as many as fit beside `right`, and no more than [`HEX`].
pub(crate) fn hex(bytes: &[u8], right: &str) -> String {
    let room = (WIDTH - INDENT - 4).saturating_sub(right.chars().count()) / 3;
    let shown = HEX.min(room.saturating_sub(1));
    let mut text: Vec<String> = bytes.iter().take(shown).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > shown {
        text.push("\u{2026}".into());
    }
    text.join(" ")
}

/// A size for people, exact where it is small.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".into(),
        0..1_000_000 => format!("{} bytes", grouped(bytes)),
        _ => format!("{} bytes ({:.2} MiB)", grouped(bytes), bytes as f64 / (1 << 20) as f64),
    }
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Lines of at most `width` characters, broken at spaces.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let used = lines[last].chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if used > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab\u{2026}");
        assert_eq!(hex(&[0, 0xff, 1], ""), "00 ff 01");
        assert_eq!(hex(&[0; 99], &"x".repeat(65)), "00 00 00 \u{2026}");
        assert_eq!(spread(&"x".repeat(200), "9 bytes").chars().count(), WIDTH - INDENT);
        assert_eq!(spread("x", "9 bytes").chars().count(), WIDTH - INDENT);
    }

    #[test]
    fn sizes_and_lines_are_formatted_for_people() {
        assert_eq!((size(1), size(1_234)), ("1 byte".into(), "1,234 bytes".into()));
        assert_eq!(size(64 << 20), "67,108,864 bytes (64.00 MiB)");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
    }

    #[test]
    fn untrusted_bytes_cannot_move_the_cursor_and_colour_is_optional() {
        assert_eq!(clean("a\x1b[2Jb\n"), "a\u{b7}[2Jb\u{b7}");
        assert_eq!(Screen { colour: false }.paint(Style::Red, "x"), "x");
        assert_eq!(Screen { colour: true }.paint(Style::Red, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
