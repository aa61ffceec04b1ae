//! What is wrong with a configuration, and where: the file with line and column or the environment variable, and the
//! setting's full name. Problems are collected, so that an operator sees all of them together.

use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    path::Path,
    sync::Arc,
};

use zeroize::Zeroizing;

use super::Files;

/// A place in a text; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's name or the variable's.
    pub(super) source: Arc<str>,
    /// The position in it, if known.
    pub(super) at: Option<Position>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match self.at {
            Some(Position { line, column }) => write!(f, ", line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

/// Where every setting was written, by its full name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Places {
    known: HashMap<String, Place>,
    /// The place for settings that were not written: the file, if there is one.
    file: Option<Arc<str>>,
}

impl Places {
    pub(super) fn set_file(&mut self, name: Arc<str>) {
        self.file = Some(name);
    }

    pub(super) fn set(&mut self, path: &str, place: Place) {
        self.known.insert(path.to_owned(), place);
    }

    /// Records that an environment variable replaces a setting and all settings below it.
    pub(super) fn set_variable(&mut self, path: &str, variable: &str) {
        let below = |known: &str| is_below(known, path);
        self.known.retain(|known, _| known != path && !below(known));
        self.set(path, Place { source: variable.into(), at: None });
    }

    /// Whether a setting has a place of its own.
    pub(super) fn is_written(&self, path: &str) -> bool {
        self.known.contains_key(path)
    }

    /// Where a setting was written; for one that was left out, where its parent is.
    fn find(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.known.get(path) {
                return Some(place.clone());
            }
            let Some(end) = path.rfind(['.', '[']) else { break };
            path = &path[..end];
        }
        self.file.clone().map(|source| Place { source, at: None })
    }
}

/// Why a file cannot be read, for operators.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "this user has no permission to read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_owned()
        }
    }
}

/// Whether a setting's full name is below another's.
fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    place: Option<Place>,
    /// The setting's full name, if it is about one.
    setting: Option<String>,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(setting) = &self.setting {
            write!(f, "{setting}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// All problems of a configuration, each with its place.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems {
    found: Vec<Problem>,
    /// The files that were read, including those that could not be.
    pub files: Files,
}

/// Collects problems and warnings while a configuration is read and checked.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) files: Files,
    pub(super) places: Places,
    /// Settings that could not be read: further problems with their values would be misleading.
    unread: HashSet<String>,
    all_unread: bool,
}

impl Findings {
    /// Adds a problem: a setting's value cannot be used.
    pub(super) fn add(&mut self, path: impl Into<String>, what: impl Into<String>) {
        let path = path.into();
        if self.is_unread(&path) {
            return;
        }
        self.found.push(Problem { place: self.places.find(&path), setting: Some(path), what: what.into() });
    }

    /// Adds a problem: a key of a map cannot be used, whatever its value.
    pub(super) fn add_key(&mut self, path: &str, what: impl Into<String>) {
        if !self.all_unread && !self.unread.contains(path) {
            self.found.push(Problem {
                place: self.places.find(path),
                setting: Some(path.to_owned()),
                what: what.into(),
            });
        }
    }

    /// Adds a problem: a setting cannot be read at all. No further problems with it are reported.
    pub(super) fn add_unread(&mut self, path: &str, place: Place, what: impl Into<String>) {
        self.unread.insert(path.to_owned());
        self.found.push(Problem { place: Some(place), setting: Some(path.to_owned()), what: what.into() });
    }

    /// Adds a problem at a place that is not a setting.
    pub(super) fn add_at(&mut self, place: Place, what: impl Into<String>) {
        self.found.push(Problem { place: Some(place), setting: None, what: what.into() });
    }

    /// Adds a problem: the text cannot be read at all. No problems with settings are reported.
    pub(super) fn add_all_unread(&mut self, place: Place, what: impl Into<String>) {
        self.all_unread = true;
        self.add_at(place, what);
    }

    /// Adds a problem: the file cannot be read.
    pub(super) fn file(&mut self, name: &str, what: impl Into<String>) {
        self.add_all_unread(Place { source: name.into(), at: None }, what);
    }

    /// Suppresses problems with a setting that was written under an unknown name.
    pub(super) fn set_unread(&mut self, path: String) {
        self.unread.insert(path);
    }

    /// Adds a warning.
    pub(super) fn warn(&mut self, path: impl Into<String>, what: impl Into<String>) {
        let path = path.into();
        if !self.is_unread(&path) {
            let warning = Problem { place: self.places.find(&path), setting: Some(path), what: what.into() };
            self.warnings.push(warning.to_string());
        }
    }

    /// Adds a warning about a place that is not a setting.
    pub(super) fn warn_of(&mut self, place: Place, what: impl Into<String>) {
        let warning = Problem { place: Some(place), setting: None, what: what.into() };
        self.warnings.push(warning.to_string());
    }

    /// Reads a file that a setting names.
    pub(super) fn read(&mut self, setting: &str, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        match self.files.read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.add(setting, format!("{}: cannot be read: {}", path.display(), reason(&error)));
                None
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems in the order of the file; those without a line come last.
    pub(super) fn into_problems(mut self) -> Problems {
        let line = |problem: &Problem| {
            let at = problem.place.as_ref().and_then(|place| place.at);
            (at.is_none(), at)
        };
        self.found.sort_by_key(line);
        Problems { found: self.found, files: self.files }
    }

    /// Whether a setting, one above it, or one below it could not be read.
    fn is_unread(&self, path: &str) -> bool {
        if self.all_unread || self.unread.is_empty() {
            return self.all_unread;
        }
        let mut above = path;
        loop {
            if self.unread.contains(above) {
                return true;
            }
            let Some(end) = above.rfind(['.', '[']) else { break };
            above = &above[..end];
        }
        self.unread.iter().any(|unread| is_below(unread, path))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.found.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_was_left_out_is_reported_at_its_parent() {
        let mut places = Places::default();
        let at = |line| Place { source: "a.yaml".into(), at: Some(Position { line, column: 1 }) };
        places.set("domain_map.a.test", at(3));
        places.set("domain_map.a.test.tls", at(5));
        assert_eq!(places.find("domain_map.a.test.upstream"), Some(at(3)));
        assert_eq!(places.find("domain_map.a.test.tls.key_file"), Some(at(5)));
        assert_eq!(places.find("threads"), None);
    }

    #[test]
    fn problems_with_values_of_unreadable_settings_are_suppressed() {
        let mut problems = Findings::default();
        let place = Place { source: "a.yaml".into(), at: None };
        problems.add_unread("domain_map.a.test.upstream.peers[0]", place, "is not text");
        problems.add("domain_map.a.test.upstream", "is missing");
        problems.add("domain_map.a.test.upstream.peers[0].url", "is missing");
        problems.add("domain_map.a.test.tls", "is wrong");
        let text = problems.into_problems().to_string();
        assert_eq!(
            text,
            "a.yaml: domain_map.a.test.upstream.peers[0]: is not text\ndomain_map.a.test.tls: is wrong"
        );
    }
}
