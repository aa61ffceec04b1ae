//! The three views of one request: the client's, the eavesdropper's, the upstream's. `>` goes to the upstream, `<`
//! comes back.

use http::{HeaderMap, HeaderName, StatusCode, header, request};
use mte_protocol::names::{X_MTE_RELAY, X_MTE_RELAY_EH};

use crate::{
    pages::Digested,
    recording::Recording,
    show::{hex, shorten, size, spread},
    upstream::Received,
    wire::{self, Message},
};

/// Longer bodies are not shown as text.
const TEXT: u64 = 200;

/// What the client sends: its own headers, then its body.
pub(crate) fn sent(parts: &request::Parts, body: &Digested) -> Vec<String> {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut lines = vec![format!("> {} {target}", parts.method)];
    lines.extend(header_lines(&parts.headers, parts.headers.keys()));
    lines.extend(body_line('>', body));
    lines
}

/// What the client makes of the answer.
pub(crate) fn answered(status: StatusCode, headers: &HeaderMap, body: &Digested) -> Vec<String> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no type");
    let text = match body.len {
        0..TEXT => body.text(),
        len => size(len),
    };
    vec![format!("< {} {kind}  {}", status.as_u16(), text.trim_end())]
}

/// What the upstream received, as far as the client sent it.
pub(crate) fn received(received: &Received, of_interest: &HeaderMap) -> Vec<String> {
    let mut lines = vec![format!("> {} {}", received.method, received.target)];
    lines.extend(header_lines(&received.headers, of_interest.keys()));
    lines.extend(body_line('>', &received.body));
    lines
}

fn header_lines<'a>(
    headers: &'a HeaderMap,
    names: impl Iterator<Item = &'a HeaderName>,
) -> impl Iterator<Item = String> {
    let value = move |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    names.filter_map(move |name| Some(format!("> {name}: {}", value(name)?)))
}

fn body_line(mark: char, body: &Digested) -> Option<String> {
    match body.len {
        0 => None,
        len if len < TEXT => Some(format!("{mark} {}", body.text())),
        len => {
            let start = body.text();
            let start = start.lines().next().unwrap_or_default();
            Some(spread(&format!("{mark} {start} \u{2026}"), &size(len)))
        }
    }
}

/// All that the eavesdropper saw.
pub(crate) fn seen(recording: &Recording) -> Vec<String> {
    let requests = wire::messages(&recording.to_relay.start);
    let answers = wire::messages(&recording.to_client.start);
    let mut lines = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        lines.extend(request_lines(request, recording.to_relay.total));
        lines.extend(
            answers.get(index).into_iter().flat_map(|answer| answer_lines(answer, recording.to_client.total)),
        );
    }
    lines
}

/// The same without headers.
pub(crate) fn seen_in_short(recording: &Recording) -> Vec<String> {
    seen(recording).into_iter().filter(|line| !line.contains(": ")).collect()
}

/// What the eavesdropper saw of a request. `total` is how much passed, where not all of it was kept.
pub(crate) fn request_lines(request: &Message<'_>, total: u64) -> Vec<String> {
    let mut lines = vec![request_line(request)];
    for (name, value) in &request.headers {
        match *name {
            "content-type" | "content-length" | "transfer-encoding" => {}
            X_MTE_RELAY => lines.push(format!("> {name}: {}", relay_value(value))),
            X_MTE_RELAY_EH => lines.push(long('>', name, value)),
            _ => lines.push(format!("> {name}: {value}")),
        }
    }
    lines.extend(body_hex('>', request, total));
    lines
}

/// The first line of a request.
pub(crate) fn request_line(request: &Message<'_>) -> String {
    let line = request.start.trim_end_matches(" HTTP/1.1");
    match request.second_word().len() {
        0..40 => format!("> {line}"),
        len => spread(&format!("> {}", shorten(line, 56)), &format!("{len} characters")),
    }
}

fn answer_lines(answer: &Message<'_>, total: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut others = Vec::new();
    for (name, value) in &answer.headers {
        match name.to_ascii_lowercase().as_str() {
            "content-type" | "content-length" | "transfer-encoding" | "connection" => {}
            // The same as the request's.
            X_MTE_RELAY => {}
            X_MTE_RELAY_EH => lines.push(long('<', name, value)),
            "set-cookie" => lines.push(format!("< {name}: {value}")),
            name => others.push(name.to_owned()),
        }
    }
    lines.insert(0, spread(&format!("< {}", answer.start), &format!("{} in the clear", others.join(", "))));
    lines.extend(body_hex('<', answer, total));
    lines
}

fn long(mark: char, name: &str, value: &str) -> String {
    let shown = shorten(value, 54 - name.len());
    spread(&format!("{mark} {name}: {shown}"), &format!("{} characters", value.len()))
}

fn body_hex(mark: char, message: &Message<'_>, total: u64) -> Option<String> {
    if message.body.is_empty() {
        return None;
    }
    let size =
        if message.whole { size(message.body.len() as u64) } else { format!("{} in all", size(total)) };
    let text = message
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/") || kind.ends_with("/json"));
    let shown = if text {
        shorten(String::from_utf8_lossy(&message.body).trim_end(), 54)
    } else {
        hex(&message.body, &size)
    };
    Some(spread(&format!("{mark} {shown}"), &size))
}

/// `clientId,pairId,type,flags` with the ids shortened.
fn relay_value(value: &str) -> String {
    let fields: Vec<String> = value.split(',').map(|field| shorten(field, 14)).collect();
    fields.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::Direction;

    #[test]
    fn a_sealed_request_shows_its_shape_and_its_sizes() {
        let head = format!(
            "POST /{} HTTP/1.1\r\nhost: a\r\nx-mte-relay: {},b,1,1,1,1,0\r\nx-mte-relay-eh: {}\r\ncontent-length: 3\r\n\r\n",
            "Q".repeat(90),
            "0".repeat(101),
            "R".repeat(300),
        );
        let mut recording = Recording::default();
        recording.push(Direction::ToRelay, head.as_bytes());
        recording.push(Direction::ToRelay, &[1, 2, 3]);
        let lines = seen(&recording);
        assert!(lines[0].starts_with("> POST /QQ") && lines[0].ends_with("91 characters"));
        assert_eq!(lines[1], "> host: a");
        assert_eq!(lines[2], "> x-mte-relay: 0000000000000\u{2026},b,1,1,1,1,0");
        assert!(lines[3].ends_with("300 characters"));
        assert!(lines[4].starts_with("> 01 02 03 ") && lines[4].ends_with("3 bytes"));
        assert_eq!(lines.len(), 5);
    }
}
