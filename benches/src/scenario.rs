//! The scenarios: groups of the same plain traffic, each over every target, and the project's goals for them.

/// The HTTP method of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// The payload is the response's body.
    Get,
    /// The payload is the request's body; the response is small.
    Post,
}

impl Method {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// The size of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Small => 1 << 10,
            Self::Medium => 10_000,
            Self::Large => 1 << 20,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Small => "1 KiB",
            Self::Medium => "10 KB",
            Self::Large => "1 MiB",
        }
    }
}

/// Where requests are sent, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The upstream without a proxy.
    Direct,
    Nginx,
    /// The baseline.
    PlainPingora,
    /// The relay, on a pass-through route.
    PassThrough,
    /// The relay, with URL, headers and body sealed.
    Mke,
}

impl Target {
    const ALL: [Self; 5] = [Self::Direct, Self::Nginx, Self::PlainPingora, Self::PassThrough, Self::Mke];

    const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct upstream",
            Self::Nginx => "nginx",
            Self::PlainPingora => "plain Pingora",
            Self::PassThrough => "relay, pass-through",
            Self::Mke => "relay, MKE",
        }
    }

    const fn id(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::PlainPingora => "pingora",
            Self::PassThrough => "pass",
            Self::Mke => "mke",
        }
    }
}

/// The same plain traffic, over every target; or pairing, which only the relay supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Exchange(Method, Size),
    Pairing,
}

impl Group {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Exchange(method, size) => format!("{} {}", method.name(), size.name()),
            Self::Pairing => format!("Pairing, {PAIRS} pairs a request, ML-KEM-768"),
        }
    }
}

/// Pairs in one pairing request.
pub(crate) const PAIRS: usize = 5;

/// One scenario to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) group: Group,
    pub(crate) target: Target,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub(crate) fn all() -> Vec<Self> {
        let exchanges = [Method::Get, Method::Post]
            .into_iter()
            .flat_map(|method| Size::ALL.map(|size| Group::Exchange(method, size)))
            .flat_map(|group| Target::ALL.map(|target| Self { group, target }));
        exchanges.chain([Self { group: Group::Pairing, target: Target::Mke }]).collect()
    }

    /// Those whose id contains the pattern, and the baseline of each group among them.
    pub(crate) fn matching(pattern: &str) -> Vec<Self> {
        let pattern = pattern.to_ascii_lowercase();
        let fits = |scenario: &Self| scenario.id().contains(&pattern);
        let all = Self::all();
        let groups: Vec<Group> = all.iter().filter(|one| fits(one)).map(|one| one.group).collect();
        let wanted =
            |one: &Self| fits(one) || one.target == Target::PlainPingora && groups.contains(&one.group);
        all.into_iter().filter(wanted).collect()
    }

    /// The scenario of this id.
    pub(crate) fn find(id: &str) -> Option<Self> {
        Self::all().into_iter().find(|one| one.id() == id.to_ascii_lowercase())
    }

    /// The name on the command line: `get-10kb-mke`.
    pub(crate) fn id(self) -> String {
        match self.group {
            Group::Exchange(method, size) => {
                let text = format!("{}-{}-{}", method.name(), size.name(), self.target.id());
                text.replace(' ', "").to_ascii_lowercase()
            }
            Group::Pairing => "pairing".into(),
        }
    }

    /// The name of its line in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self.group {
            Group::Exchange(..) => self.target.name(),
            Group::Pairing => "relay",
        }
    }

    /// The project's goal: the minimum share of plain Pingora's requests per CPU-second.
    pub(crate) fn goal(self) -> Option<f64> {
        match (self.target, self.group) {
            (Target::PassThrough, _) => Some(0.95),
            (Target::Mke, Group::Exchange(_, Size::Medium)) => Some(0.80),
            (Target::Mke, Group::Exchange(_, Size::Large)) => Some(0.70),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_id() {
        for scenario in Scenario::all() {
            assert_eq!(Scenario::find(&scenario.id()), Some(scenario));
        }
        assert!(Scenario::find("post-1mib-mke").is_some_and(|one| one.goal() == Some(0.70)));
    }

    #[test]
    fn a_pattern_also_selects_the_baseline() {
        let ids = |pattern| Scenario::matching(pattern).into_iter().map(Scenario::id).collect::<Vec<_>>();
        assert_eq!(ids("GET-10kb-mke"), ["get-10kb-pingora", "get-10kb-mke"]);
        assert_eq!(ids("pairing"), ["pairing"]);
        assert_eq!(ids("no such thing"), [""; 0]);
        assert_eq!(ids("").len(), Scenario::all().len());
    }
}
