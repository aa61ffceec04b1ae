//! A tenant's route patterns (docs/protocol.md, section 2): which paths pass through raw, which are relayed
//! at all.
//!
//! A pattern that allows one path must not allow another by a trick. So patterns are matched against the path as
//! received, case-sensitively and without its query, and a path with `.` or `..` segments (in any spelling,
//! see [`RoutePattern::matches`]) matches no pattern at all.

use std::fmt;

use regex::Regex;
use thiserror::Error;

use crate::path::is_unmatchable;

/// One pattern: exact (`/health`), a prefix (`/public/*`), or a regular expression (`~^/v[0-9]+/`).
#[derive(Clone, Debug)]
pub struct RoutePattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Exact,
    /// How much of the text is the prefix, its last `/` included.
    Prefix(usize),
    Regex(Regex),
}

/// A text that is no route pattern: what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("route {pattern:?}: {problem}")]
pub struct RouteError {
    /// The text as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub problem: String,
}

impl RoutePattern {
    /// Reads a pattern (docs/protocol.md, section 2).
    ///
    /// - `/health`: this path and no other, `/health/` neither.
    /// - `/public/*`: `/public/` and everything below it; `/public` itself is a pattern of its own. `/*` is
    ///   every path.
    /// - `~` and a regular expression: every path in which it finds a match; begin it with `^` to bind it to
    ///   the start.
    ///
    /// # Errors
    /// [`RouteError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let refuse = |problem: String| RouteError { pattern: text.to_owned(), problem };
        if let Some(expression) = text.strip_prefix('~') {
            if expression.is_empty() {
                return Err(refuse(
                    "the regular expression is empty and would match every path; write /* for that".into(),
                ));
            }
            let regex = Regex::new(expression)
                .map_err(|error| refuse(format!("not a regular expression: {error}")))?;
            return Ok(Self { text: text.to_owned(), kind: Kind::Regex(regex) });
        }
        if !text.starts_with('/') {
            return Err(refuse("a route begins with / (a path) or ~ (a regular expression)".into()));
        }
        let path = text.strip_suffix("/*").map_or(text, |_| &text[..text.len() - 1]);
        if path.contains('*') {
            let hint =
                "a * stands only at the end, behind a slash, as in /public/*; else write ~ and a regex";
            return Err(refuse(hint.into()));
        }
        if path.contains(['?', '#']) {
            return Err(refuse(
                "routes are matched against the path alone; leave out ? and # and what follows".into(),
            ));
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refuse("a path has visible ASCII only; percent-encode the rest".into()));
        }
        if is_unmatchable(path.as_bytes()) {
            return Err(refuse(
                "a path with . or .. segments is never matched; write the path that they lead to".into(),
            ));
        }
        let kind = if path.len() == text.len() { Kind::Exact } else { Kind::Prefix(path.len()) };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// Whether a path matches; a query, if it is there, does not count (docs/protocol.md, section 2).
    ///
    /// A path with a `.` or `..` segment matches nothing, also where dots, slashes or backslashes are
    /// percent-encoded, once or more often, or where path parameters follow (`..;x`): some upstream would
    /// resolve it and leave the prefix. Repeated slashes are matched as received.
    pub fn matches(&self, path: &str) -> bool {
        without_query(path).is_some_and(|path| self.matches_safe(path))
    }

    fn matches_safe(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix(len) => path.starts_with(&self.text[..*len]),
            Kind::Regex(regex) => regex.is_match(path),
        }
    }
}

/// The pattern as it was written.
impl fmt::Display for RoutePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A list of patterns (docs/protocol.md, section 2).
#[derive(Clone, Debug, Default)]
pub struct RouteSet(Vec<RoutePattern>);

impl RouteSet {
    /// Reads many patterns.
    ///
    /// # Errors
    /// The first [`RouteError`].
    pub fn parse<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, RouteError> {
        patterns.into_iter().map(|text| RoutePattern::parse(text.as_ref())).collect()
    }

    /// Whether any pattern matches, as [`RoutePattern::matches`] has it.
    pub fn matches(&self, path: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        without_query(path).is_some_and(|path| self.0.iter().any(|pattern| pattern.matches_safe(path)))
    }

    /// Whether there is no pattern; an empty set matches nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, as they were given.
    pub fn patterns(&self) -> &[RoutePattern] {
        &self.0
    }
}

impl FromIterator<RoutePattern> for RouteSet {
    fn from_iter<I: IntoIterator<Item = RoutePattern>>(patterns: I) -> Self {
        Self(patterns.into_iter().collect())
    }
}

/// The path without its query, if it is one that may match at all.
fn without_query(path: &str) -> Option<&str> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    (path.starts_with('/') && !is_unmatchable(path.as_bytes())).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> RoutePattern {
        RoutePattern::parse(text).unwrap()
    }

    #[test]
    fn an_exact_pattern_matches_its_path_and_no_other() {
        let health = pattern("/health");
        assert!(health.matches("/health") && health.matches("/health?full=1"));
        for path in [
            "/health/",
            "/Health",
            "/healthy",
            "//health",
            "/health%2f",
            "/x/health",
            "/./health",
            "health",
            "",
        ] {
            assert!(!health.matches(path), "{path}");
        }
        assert!(pattern("/").matches("/") && !pattern("/").matches("/x"));
    }

    #[test]
    fn a_prefix_pattern_matches_what_is_below_and_not_its_own_name() {
        let public = pattern("/public/*");
        for path in
            ["/public/", "/public/a", "/public/a/b?c=/..", "/public//a", "/public/..a", "/public/a%2fb"]
        {
            assert!(public.matches(path), "{path}");
        }
        for path in [
            "/public",
            "/public?/x",
            "/publicity",
            "/Public/a",
            "//public/a",
            "/x/public/a",
            "/public%2fa",
            "*",
        ] {
            assert!(!public.matches(path), "{path}");
        }
        assert!(pattern("/*").matches("/anything/at/all"));
    }

    #[test]
    fn dot_segments_never_lead_out_of_a_pattern() {
        let set = RouteSet::parse(["/public/*", "~^/public/", "~admin", "/admin"]).unwrap();
        for path in [
            "/public/../admin",
            "/public/..",
            "/public/%2e%2e/admin",
            "/public/.%2E/admin",
            "/public/..%2fadmin",
            "/public/%2e%2e%2fadmin",
            "/public/..\\admin",
            "/public/..%5cadmin",
            "/public/..;/admin",
            "/public/..;a=b/admin",
            "/public/%252e%252e/admin",
            "/public/./x",
            "/public/x%2f..%2f..%2fadmin",
        ] {
            assert!(!set.matches(path), "{path}");
        }
    }

    #[test]
    fn a_regular_expression_is_found_in_the_path_without_its_query() {
        let versions = pattern("~^/v[0-9]+/");
        assert!(versions.matches("/v1/x") && versions.matches("/v22/?q"));
        assert!(!versions.matches("/v/x") && !versions.matches("/x?/v1/") && !versions.matches("/a/v1/"));
    }

    #[test]
    fn an_invalid_pattern_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "begins with /"),
            ("health", "begins with /"),
            ("/a*", "only at the end"),
            ("/a/*/b", "only at the end"),
            ("/a/**", "only at the end"),
            ("/a?b", "the path alone"),
            ("/a#b", "the path alone"),
            ("/a b", "visible ASCII"),
            ("/é", "visible ASCII"),
            ("/a/../b", "never matched"),
            ("/a/%2e/*", "never matched"),
            ("~", "empty"),
            ("~(", "not a regular expression"),
        ] {
            let error = RoutePattern::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_set_matches_if_any_pattern_does_and_an_empty_one_never() {
        let set = RouteSet::parse(["/health", "/public/*"]).unwrap();
        assert!(set.matches("/health") && set.matches("/public/x") && !set.matches("/"));
        assert!(RouteSet::default().is_empty() && !RouteSet::default().matches("/"));
        assert!(RouteSet::parse(["/ok", "bad"]).is_err());
        assert_eq!(set.patterns()[1].to_string(), "/public/*");
    }

    proptest! {
        #[test]
        fn a_prefix_never_matches_a_path_that_leaves_it_when_resolved(
            parts in proptest::collection::vec(
                prop_oneof!["a", "\\.", "\\.\\.", "%2e", "%2E\\.", "", "x;\\.\\.", "\\.\\.;x"], 0..6,
            ),
            separator in prop_oneof!["/", "%2f", "%5C"],
        ) {
            let path = format!("/public/{}", parts.join(&separator));
            if pattern("/public/*").matches(&path) {
                let leaves = parts.iter().any(|part| {
                    let part = part.replace("%2e", ".").replace("%2E", ".");
                    matches!(part.split(';').next(), Some("." | ".."))
                });
                prop_assert!(!leaves, "{}", path);
            }
        }
    }
}
