//! Checks what docs/architecture.md says about the structure of the code. Imports go in one direction: those of `src/` from
//! upper layers to lower ones, and the crates of the workspace form no cycle. This is read from the sources: every path that
//! begins with `crate::`, `mte_relay::` or `super::` outside of comments, and the `[dependencies]` of the manifests. Test code
//! is included.
//!
//! `make graph` prints the graph.
//!
//! Errors are kinds: no `Result` has text for its error.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The modules of `src/` by layer, from those that run the relay to those that are independent of it. Imports go to lower
/// layers only, so they form no cycle, and modules of one layer do not import each other.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["relay", "check", "keygen", "request"],
    &["admin", "shutdown", "configured"],
    &["gateway", "handover", "reload"],
    &["edge", "pairs", "listening"],
    &["limits"],
    &["config"],
    &["domains"],
    &["outbound"],
    &["tls", "upstream", "pool"],
    &[
        "certificate",
        "descriptors",
        "exit",
        "host",
        "lifecycle",
        "private_socket",
        "process",
        "rate",
        "state_key",
        "telemetry",
        "trusted",
    ],
];

type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module path of a file below `src/`: `gateway/response/mod.rs` is `gateway`, `response`.
fn module(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// A source without its comments.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first names in the rest of a path: one, or those of a group in braces.
fn first_names(rest: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(group) = rest.strip_prefix('{') else { return vec![&rest[..name(rest)]] };
    let (mut depth, mut names, mut expected) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            c if expected && !c.is_whitespace() => {
                names.push(&group[at..at + name(&group[at..])]);
                expected = false;
            }
            _ => {}
        }
    }
    names
}

/// The top-level modules of the crate that a module's code uses.
fn named(code: &str, module: &[String]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for root in ["crate::", "mte_relay::"] {
        for (at, _) in code.match_indices(root) {
            let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if whole {
                names.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    // Modules inside the file are its tests, at the end.
    let inner = code.find("\nmod tests {").unwrap_or(code.len());
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let rest = code[at..].trim_start_matches("super::");
        let levels = (code.len() - at - rest.len()) / "super::".len();
        if levels == module.len() + usize::from(at > inner) {
            names.extend(first_names(rest));
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

fn modules() -> Graph {
    let folder = root().join("src");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let files: Vec<_> = files
        .iter()
        .map(|file| (module(file.strip_prefix(&folder).unwrap()), code(&fs::read_to_string(file).unwrap())))
        .collect();
    let mut graph: Graph = files.iter().map(|(module, _)| (module[0].clone(), BTreeSet::new())).collect();
    let known: BTreeSet<_> = graph.keys().cloned().collect();
    for (module, code) in &files {
        let mut named = named(code, module);
        named.retain(|name| *name != module[0] && known.contains(name));
        graph.get_mut(&module[0]).unwrap().append(&mut named);
    }
    // They use every module, and no module uses them.
    graph.retain(|module, _| module != "lib" && module != "main");
    graph
}

fn crates() -> Graph {
    let mut manifests = vec![root().join("Cargo.toml"), root().join("benches/Cargo.toml")];
    manifests.extend(
        fs::read_dir(root().join("crates")).unwrap().map(|one| one.unwrap().path().join("Cargo.toml")),
    );
    let mut graph = Graph::new();
    for manifest in manifests {
        let (mut section, mut name, mut needs) = (String::new(), None, BTreeSet::new());
        for line in fs::read_to_string(manifest).unwrap().lines() {
            let key = line.split(['=', '.']).next().unwrap().trim();
            match (section.as_str(), key) {
                _ if line.starts_with('[') => section = line.trim_matches(['[', ']']).to_owned(),
                ("package", "name") => name = line.split('"').nth(1).map(str::to_owned),
                ("dependencies", key) if key.starts_with("mte-") => drop(needs.insert(key.to_owned())),
                _ => {}
            }
        }
        graph.insert(name.expect("a package has a name"), needs);
    }
    graph
}

/// All nodes that a node reaches.
fn reached<'a>(graph: &'a Graph, from: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(node) = open.pop() {
        let next = graph.get(node).into_iter().flatten().map(String::as_str);
        open.extend(next.filter(|next| reached.insert(*next)));
    }
    reached
}

/// Sets of nodes that reach each other.
fn cycles(graph: &Graph) -> BTreeSet<Vec<&str>> {
    let reach: BTreeMap<_, _> = graph.keys().map(|node| (node.as_str(), reached(graph, node))).collect();
    let together = |node: &&str| {
        let mutual = |other: &&&str| reach[node].contains(**other) && reach[**other].contains(node);
        reach.keys().filter(mutual).copied().collect::<Vec<_>>()
    };
    reach.keys().map(together).filter(|cycle| !cycle.is_empty()).collect()
}

/// The graph for people: imported modules are below those that import them.
fn print(title: &str, graph: &Graph) {
    println!("{title}");
    let mut nodes: Vec<_> = graph.keys().collect();
    nodes.sort_by_key(|node| std::cmp::Reverse(reached(graph, node).len()));
    for node in nodes {
        println!("  {node:<16} -> {}", graph[node].iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    }
    println!("  cycles: {:?}", cycles(graph));
}

/// Errors that are text: the last argument of a `Result`, and `Err` of `FromStr` and the like.
fn text_errors(code: &str) -> Vec<&str> {
    let is_text = |kind: &str| {
        let kind = kind.trim().trim_end_matches(',');
        kind == "String" || kind.starts_with('&') && kind.ends_with("str") || kind == "Cow<'static, str>"
    };
    let results = code.match_indices("Result<").filter_map(|(at, start)| {
        let (end, comma) = arguments(&code[at + start.len()..]);
        let arguments = &code[at + start.len()..][..end];
        is_text(&arguments[comma? + 1..]).then_some(&code[at..=at + start.len() + end])
    });
    let errors = ["Err = ", "Error = "].into_iter().flat_map(|name| code.match_indices(name));
    let associated = errors.filter_map(|(at, name)| {
        let rest = &code[at + name.len()..];
        let end = rest.find(['>', ';', '\n']).unwrap_or(rest.len());
        is_text(&rest[..end]).then_some(&code[at..at + name.len() + end])
    });
    results.chain(associated).collect()
}

/// Where the arguments of a type end, and the last comma between them.
fn arguments(rest: &str) -> (usize, Option<usize>) {
    let (mut depth, mut comma) = (0, None);
    for (at, c) in rest.char_indices() {
        let arrow = rest[..at].ends_with('-');
        match c {
            '>' if depth == 0 && !arrow => {
                let trailing = comma.filter(|comma| rest[comma + 1..at].trim().is_empty());
                return match trailing {
                    Some(end) => (end, arguments(&format!("{}>", &rest[..end])).1),
                    None => (at, comma),
                };
            }
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' if !arrow => depth -= 1,
            ',' if depth == 0 => comma = Some(at),
            _ => {}
        }
    }
    (rest.len(), None)
}

#[test]
fn no_result_has_text_as_its_error() {
    let mut files = Vec::new();
    for folder in ["src", "crates", "benches", "models"] {
        sources(&root().join(folder), &mut files);
    }
    let mut found = BTreeMap::new();
    for file in files {
        let code = code(&fs::read_to_string(&file).unwrap());
        let texts: Vec<_> = text_errors(&code).into_iter().map(str::to_owned).collect();
        if !texts.is_empty() {
            found.insert(file, texts);
        }
    }
    assert!(found.is_empty(), "make each of these errors an enum whose variants are kinds: {found:#?}");
}

#[test]
fn text_errors_are_found_in_any_position() {
    for text in [
        "fn f() -> Result<(), String> {",
        "Result<Vec<(u8, Option<String>)>, String>",
        "outcome: Result<\n    T,\n    String,\n>",
        "Result<(), &'static str>",
        "impl Fn(&str) -> Result<T, String>,",
        "Option<(Time, Result<(), String>)>",
        "type Err = String;",
        "FromStr<Err = String>",
    ] {
        assert_eq!(text_errors(text).len(), 1, "{text}");
    }
    for kind in [
        "Result<String>",
        "Result<String, Error>",
        "Result<(String, String), E>",
        "Result<Box<dyn Fn(u8, String) -> String>, E>",
        "Result::<_, Error>",
        "Err = Error;",
    ] {
        assert_eq!(text_errors(kind), [""; 0], "{kind}");
    }
}

#[test]
fn the_graph_of_modules_and_crates_can_be_printed() {
    print("Modules of src/:", &modules());
    print("Crates:", &crates());
}

/// The layer of a module.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn modules_import_from_lower_layers_only() {
    let graph = modules();
    assert_eq!(cycles(&graph), BTreeSet::new(), "`make graph` shows who imports whom");
    let listed: BTreeSet<_> = LAYERS.concat().into_iter().collect();
    let there: BTreeSet<_> = graph.keys().map(String::as_str).collect();
    assert_eq!(listed, there, "LAYERS has every module once");
    let up = |module: &str, imported: &str| layer(module) >= layer(imported);
    let wrong: Vec<_> = graph
        .iter()
        .flat_map(|(module, imports)| imports.iter().map(move |imported| (module, imported)))
        .filter(|(module, imported)| up(module, imported))
        .collect();
    assert!(wrong.is_empty(), "these imports go up, or to a neighbour: {wrong:?}");
}

#[test]
fn the_session_depends_on_nothing_that_opens_a_socket() {
    let manifest = fs::read_to_string(root().join("crates/mte-session/Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[dependencies]").expect("dependencies");
    let dependencies: BTreeSet<_> = rest
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()))
        .collect();
    let expected =
        ["bytes", "http", "mte-codec", "mte-protocol", "rand", "thiserror", "zeroize"].into_iter().collect();
    assert_eq!(dependencies, expected);
}

#[test]
fn the_gateway_uses_no_cryptography() {
    let mut files = Vec::new();
    sources(&root().join("src/gateway"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    for file in files {
        let code = code(&fs::read_to_string(&file).unwrap());
        let code = code.split("\nmod tests {").next().unwrap_or_default();
        for word in [
            "aws_lc_rs",
            "ml_kem",
            "mte_codec::kem",
            "mte_codec::seal",
            "mte_codec::open",
            "EpochSecret",
            "kem::",
            "seal::message(",
            "open::message(",
        ] {
            assert!(!code.contains(word), "{}: {word}", file.display());
        }
    }
}

/// The parts of a document in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows `| what | `file`: `function` |` below a heading of docs/architecture.md.
fn places(heading: &str) -> Vec<(String, String)> {
    let document = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, rest) = document.split_once(heading).expect("the heading");
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|row| {
        let place = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut names = quoted(place);
        (names.next().unwrap().to_owned(), names.next().expect("a function").to_owned())
    })
    .collect()
}

#[test]
fn the_places_named_in_the_document_exist() {
    let (decided, steps) = (places("## Where is it decided?\n"), places("## One request\n"));
    assert!(decided.len() >= 18, "{decided:?}");
    assert!(steps.len() <= 25, "{} functions", steps.len());
    let distinct: BTreeSet<_> = steps.iter().collect();
    assert_eq!(distinct.len(), steps.len(), "each once");
    for (file, function) in decided.iter().chain(&steps) {
        let code = code(&fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{file}")));
        let found =
            [format!("fn {function}("), format!("fn {function}<")].iter().any(|head| code.contains(head));
        assert!(found, "{file}: {function}");
    }
}

#[test]
fn every_path_in_the_map_exists() {
    let document = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, map) = document.split_once("## The map\n").expect("the map");
    let mut seen = 0;
    for row in map.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `")) {
        let cell = row.trim_start_matches("| ").split(" | ").next().unwrap();
        let mut folder = PathBuf::new();
        for name in quoted(cell) {
            // `src/gateway/a.rs`, `b.rs`: the second is in the same folder as the first.
            let path = if name.contains('/') { PathBuf::from(name) } else { folder.join(name) };
            assert!(root().join(&path).exists(), "{}", path.display());
            folder = path.parent().unwrap_or(Path::new("")).to_owned();
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn crates_depend_on_each_other_in_one_direction() {
    assert_eq!(cycles(&crates()), BTreeSet::new());
}

#[test]
fn imports_are_read_from_groups_paths_and_super() {
    let read = |text: &str, module: &[&str]| {
        let module: Vec<_> = module.iter().map(|part| (*part).to_owned()).collect();
        named(&code(text), &module).into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        read("use crate::{\n    a::{self, x::Y}, // crate::no\n    b,\n    c::Z as W,\n};", &["m"]),
        "a b c"
    );
    assert_eq!(read("fn f(x: crate::a::X) -> mte_relay::b::Y {}", &["m"]), "a b");
    assert_eq!(read("other_crate::a; $crate::b", &["m"]), "b");
    assert_eq!(read("use super::{a, b::C};", &["m"]), "a b");
    assert_eq!(read("use super::{a, b::C};", &["m", "n"]), "");
    assert_eq!(read("use super::super::d::E;", &["m", "n"]), "d");
    assert_eq!(read("\nmod tests {\n    use super::*; use super::super::f;\n}", &["m"]), "f");
}

#[test]
fn a_cycle_is_the_set_of_modules_that_reach_each_other() {
    let graph = [("a", "b"), ("b", "c"), ("c", "a d"), ("d", ""), ("e", "a")];
    let graph =
        graph.map(|(node, next)| (node.to_owned(), next.split_whitespace().map(str::to_owned).collect()));
    assert_eq!(cycles(&graph.into()), BTreeSet::from([vec!["a", "b", "c"]]));
}
