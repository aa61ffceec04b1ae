//! Staying up after the scenes: commands to try by hand, and the traffic that they cause.

use std::path::Path;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use crate::{
    DemoError,
    demo::{BANK, Demo, SHOP},
    page,
    show::{Screen, Style, Who, size, spread},
    tap::{Direction, Passed, Piece},
    upstream::{Received, Seen},
    view, wire,
};

/// Shows requests as they pass, until Ctrl-C or SIGTERM.
pub(crate) async fn stay(screen: Screen, demo: &Demo) -> Result<(), DemoError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (wire, mut on_the_wire) = mpsc::unbounded_channel();
    let (upstream, mut at_the_upstream) = mpsc::unbounded_channel();
    demo.tap.look_for(&[]);
    demo.tap.watch(wire);
    demo.shop.watch(upstream.clone());
    demo.bank.watch(upstream);
    let address = page::serve(demo)?;
    suggest(screen, demo.tap.address.port(), &format!("http://{address}/"));
    loop {
        tokio::select! {
            // The traffic on the wire is shown before what the upstream received.
            biased;
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => {
                screen.line("");
                return Ok(());
            }
            Some(passed) = on_the_wire.recv() => show_wire(screen, &passed),
            Some(seen) = at_the_upstream.recv() => show_seen(screen, &seen),
        }
    }
}

fn suggest(screen: Screen, port: u16, page: &str) {
    let command = |text: String| screen.line(&format!("    {}", screen.paint(Style::Bold, &text)));
    let relay = relay_command(&std::env::args().next().unwrap_or_default());
    let (shop, bank) = (format!("-H 'host: {SHOP}'"), format!("-H 'host: {BANK}'"));
    let url = format!("http://127.0.0.1:{port}");
    screen.line("");
    screen.prose("Everything stays up until Ctrl-C. In a browser, with the eavesdropper looking on:");
    screen.line("");
    command(page.into());
    screen.line("");
    screen.prose("In another terminal:");
    screen.line("");
    command(format!("{relay} request -v {shop} '{url}/accounts/4711?iban=DE89'"));
    command(format!("{relay} request -v {bank} --mte -d '4556 7375' {url}/cards"));
    command(format!("{relay} request {shop} {url}/ticker"));
    command(format!("curl -i {shop} {url}/public/menu"));
    command(format!("curl -i {shop} {url}/accounts/4711"));
    command(format!("curl {url}/api/mte-echo/hello"));
    screen.line("");
    screen.prose("What passes is shown here:");
}

/// How to call the relay's own binary, so that the lines can be copied: it is built into the folder of the demo's, `own`; if
/// it is not there, the shell may know it.
fn relay_command(own: &str) -> String {
    const RELAY: &str = "mte-relay";
    let beside = Path::new(own).with_file_name(RELAY);
    if beside.exists() { beside.display().to_string() } else { RELAY.to_owned() }
}

/// The request that begins, if one does.
fn show_wire(screen: Screen, passed: &Passed) {
    if let (Direction::ToRelay, Piece::Head { head, .. }) = (passed.direction, &passed.what)
        && let Some(message) = wire::message(head)
    {
        screen.block(Who::Wire, &[view::request_line(&message)]);
    }
}

fn show_seen(screen: Screen, seen: &Seen) {
    if let Seen::Received(received) = seen {
        show_received(screen, received);
    }
}

fn show_received(screen: Screen, received: &Received) {
    let text = format!("> {} {}", received.method, received.target);
    let size = if received.body.len > 0 { size(received.body.len) } else { String::new() };
    screen.block(Who::Upstream, &[spread(&text, &size)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_called_where_the_demo_was_and_by_its_name_if_it_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("mte-demo").display().to_string();
        assert_eq!(relay_command(&own), "mte-relay");
        let relay = folder.path().join("mte-relay");
        std::fs::write(&relay, "").unwrap();
        assert_eq!(relay_command(&own), relay.display().to_string());
    }
}
