//! Staying up after the scenes: commands to try by hand, and what passes while somebody does.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::{
    Trouble,
    house::{BANK, House, SHOP},
    page,
    show::{Screen, Style, Who, size, spread},
    tap::{Direction, Passed, Piece},
    upstream::{Received, Seen},
    view, wire,
};

/// Shows requests as they pass, until Ctrl-C or SIGTERM.
pub(super) async fn stay(screen: Screen, house: &House) -> Result<(), Trouble> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (wire, mut on_the_wire) = mpsc::unbounded_channel();
    let (upstream, mut at_the_upstream) = mpsc::unbounded_channel();
    house.tap.look_for(&[]);
    house.tap.watch(wire);
    house.shop.watch(upstream.clone());
    house.bank.watch(upstream);
    let address = page::serve(house)?;
    suggest(screen, house.tap.address.port(), &format!("http://{address}/"));
    loop {
        tokio::select! {
            // What went by on the wire comes before what the upstream made of it.
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
    // As it was called, so that the lines can be copied.
    let own = std::env::args().next().unwrap_or_else(|| "mte-relay".into());
    let (shop, bank) = (format!("-H 'host: {SHOP}'"), format!("-H 'host: {BANK}'"));
    let url = format!("http://127.0.0.1:{port}");
    screen.line("");
    screen.prose("Everything stays up until Ctrl-C. In a browser, with the eavesdropper looking on:");
    screen.line("");
    command(page.into());
    screen.line("");
    screen.prose("In another terminal:");
    screen.line("");
    command(format!("{own} request -v {shop} '{url}/accounts/4711?iban=DE89'"));
    command(format!("{own} request -v {bank} --mte -d '4556 7375' {url}/cards"));
    command(format!("{own} request {shop} {url}/ticker"));
    command(format!("curl -i {shop} {url}/public/menu"));
    command(format!("curl -i {shop} {url}/accounts/4711"));
    command(format!("curl {url}/api/mte-echo/hello"));
    screen.line("");
    screen.prose("What passes is shown here:");
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
