//! What `-v` shows: `>` and `<` are what is on the wire, `*` is what it means.

use std::fmt::Write;

use http::HeaderMap;
use mte_client::{
    Observer,
    observer::{Chunk, Paired, RequestEvent, ResponseEvent, Retry},
    wire::{Part, PartKind},
};
use mte_protocol::SealedHeaders;

/// Longer values on the wire are cut: base64 is not readable anyway.
const WIDTH: usize = 88;

/// Prints what a client does to standard error.
pub(super) struct Verbose;

impl Observer for Verbose {
    fn client_id(&self, id: &str) {
        eprintln!("* The relay gave the client id {}", cut(id));
    }

    fn paired(&self, event: &Paired<'_>) {
        let Paired { pairs, kem, sent, received, reason } = event;
        let plural = if *pairs == 1 { "" } else { "s" };
        let why = reason.map(|reason| format!(", because {reason}")).unwrap_or_default();
        eprintln!("* Paired: {pairs} pair{plural} by {kem} ({sent} bytes sent, {received} received){why}");
    }

    fn request(&self, event: &RequestEvent<'_>) {
        let mut text = format!("* Sealing {} {} under pair {}\n", event.method, event.url, event.pair);
        for part in event.parts {
            write_part(&mut text, part);
            if part.kind == PartKind::Headers
                && let Ok(map) = SealedHeaders::parse(event.header_map)
            {
                write_map(&mut text, &map);
            }
        }
        let _ = writeln!(text, "> {} {}", event.method, cut(event.wire_path));
        let _ = writeln!(text, "> host: {}", event.authority);
        write_wire(&mut text, '>', event.wire_headers);
        eprint!("{text}");
    }

    fn request_chunk(&self, event: Chunk) {
        let end = if event.last { ", the end" } else { "" };
        eprintln!("* Body: {} bytes sealed into {}{end}", event.plain_len, event.wire_len);
    }

    fn response(&self, event: &ResponseEvent<'_>) {
        let mut text = format!("< {:?} {}\n", event.version, event.status);
        write_wire(&mut text, '<', event.wire_headers);
        match &event.opened {
            Some(opened) => {
                text.push_str("* The sealed headers verify:\n");
                write_part(&mut text, &opened.part);
                write_map(&mut text, opened.sealed);
                text.push_str(match opened.part.place.following() {
                    0 => "* They say that there is no body\n",
                    _ => "* They say that a body follows\n",
                });
            }
            None => text.push_str("* In the clear: this is not an upstream's answer\n"),
        }
        eprint!("{text}");
    }

    fn response_chunk(&self, event: Chunk) {
        let end = if event.last { ", the end" } else { "" };
        eprintln!("* Body: {} bytes verified and opened from {}{end}", event.plain_len, event.wire_len);
    }

    fn retry(&self, event: &Retry<'_>) {
        eprintln!("* {}: pairing again, resending", event.error);
    }
}

fn write_part(text: &mut String, part: &Part) {
    let kind = match part.kind {
        PartKind::Url => "URL",
        PartKind::Headers => "headers",
        PartKind::Body => "body",
    };
    let (number, encode_type, place) = (part.number, part.encode_type, part.place);
    let _ = write!(text, "*   {kind:<8} message {number}, {encode_type}, place {}", place.index());
    let _ = match place.following() {
        0 => write!(text, ", the last"),
        15 => write!(text, ", more may follow"),
        more => write!(text, ", {more} more"),
    };
    let _ = match (part.plain_len, part.wire_len) {
        (Some(plain), Some(wire)) => writeln!(text, ": {plain} bytes sealed are {wire}"),
        _ => writeln!(text, ": of a length not known yet"),
    };
}

fn write_map(text: &mut String, map: &SealedHeaders) {
    let bindings = [":method", ":authority", ":response-headers", ":status", ":request"];
    let bound = bindings.into_iter().filter_map(|name| Some((name, map.get(name)?)));
    for (name, value) in bound.chain(map.iter()) {
        let _ = writeln!(text, "*     {name}: {}", String::from_utf8_lossy(value));
    }
}

fn write_wire(text: &mut String, mark: char, headers: &HeaderMap) {
    for (name, value) in headers {
        let _ = writeln!(text, "{mark} {name}: {}", cut(&String::from_utf8_lossy(value.as_bytes())));
    }
    let _ = writeln!(text, "{mark}");
}

fn cut(text: &str) -> String {
    let length = text.chars().count();
    if length <= WIDTH {
        return text.to_owned();
    }
    let head: String = text.chars().take(WIDTH - 24).collect();
    format!("{head}... ({length} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_and_short_ones_are_not() {
        assert_eq!(cut("short"), "short");
        let long = cut(&"A".repeat(1000));
        assert!(long.len() <= WIDTH && long.ends_with("... (1000 characters)"), "{long}");
    }
}
