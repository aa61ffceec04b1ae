//! `${NAME}` in a value is replaced by an environment variable, `$${` by the two characters `${`.
//!
//! Substitution happens after the file is parsed, so that a value cannot change the file's structure, and is not
//! repeated: a variable's value is used unchanged.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::env::Environment;

/// Why a value cannot be substituted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// The variable is not set, or empty.
    Unset(String),
    /// The variable's value is not UTF-8.
    NoText(String),
    /// The text in the braces is not a variable name.
    NoName(String),
    /// The brace is not closed.
    Unclosed,
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unset(name) => {
                write!(
                    f,
                    "${{{name}}}: this environment variable is not set or is empty; write $${{ for a literal ${{"
                )
            }
            Self::NoText(name) => write!(f, "${{{name}}}: this environment variable is not UTF-8 text"),
            Self::NoName(name) => write!(
                f,
                "${{{name}}} is not the name of an environment variable (letters, digits and _); write $${{ for a literal ${{"
            ),
            Self::Unclosed => f.write_str("${ has no } after its name; write $${ for a literal ${"),
        }
    }
}

/// The text with variables in place of their names. Borrowed if there are none.
pub(super) fn substitute<'a>(text: &'a str, env: &dyn Environment) -> Result<Substituted<'a>, Unresolved> {
    if !text.contains("${") {
        return Ok(Substituted(Cow::Borrowed(text)));
    }
    let mut out = Zeroizing::new(String::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let end = from.find('}').ok_or(Unresolved::Unclosed)?;
        let name = &from[2..end];
        if !is_name(name) {
            return Err(Unresolved::NoName(name.to_owned()));
        }
        match env.get(name).map(Zeroizing::new) {
            Some(value) => out.push_str(&value),
            None if env.is_not_text(name) => return Err(Unresolved::NoText(name.to_owned())),
            None => return Err(Unresolved::Unset(name.to_owned())),
        }
        rest = &from[end + 1..];
    }
    out.push_str(rest);
    Ok(Substituted(Cow::Owned(std::mem::take(&mut *out))))
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Text after substitution; wiped if it holds a variable's value and the caller does not take it.
pub(super) struct Substituted<'a>(Cow<'a, str>);

impl Substituted<'_> {
    /// Whether anything was substituted.
    pub(super) fn is_changed(&self) -> bool {
        matches!(self.0, Cow::Owned(_))
    }

    /// The text; the caller wipes it if it is secret.
    pub(super) fn into_string(mut self) -> String {
        std::mem::take(&mut self.0).into_owned()
    }
}

impl std::ops::Deref for Substituted<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Substituted<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            zeroize::Zeroize::zeroize(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn substituted(text: &str) -> Result<String, Unresolved> {
        let env = BTreeMap::from([("A", "one"), ("B", "${A} # \"x\": 'y'\n"), ("EMPTY", "")]);
        substitute(text, &env).map(Substituted::into_string)
    }

    #[test]
    fn a_variable_arrives_unchanged_and_is_not_substituted_again() {
        for (text, expected) in [
            ("plain $ {A} $A", "plain $ {A} $A"),
            ("${A}", "one"),
            ("<${A}${A}>", "<oneone>"),
            ("${B}", "${A} # \"x\": 'y'\n"),
            ("$${A}", "${A}"),
            ("$${A} ${A}", "${A} one"),
            ("$${", "${"),
        ] {
            assert_eq!(substituted(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_an_error() {
        let name = |name: &str| name.to_owned();
        for (text, why) in [
            ("${C}", Unresolved::Unset(name("C"))),
            ("${EMPTY}", Unresolved::Unset(name("EMPTY"))),
            ("${}", Unresolved::NoName(name(""))),
            ("${a b}", Unresolved::NoName(name("a b"))),
            ("${2}", Unresolved::NoName(name("2"))),
            ("${A", Unresolved::Unclosed),
        ] {
            assert_eq!(substituted(text), Err(why), "{text}");
        }
    }
}
