//! The name that a TLS client asks for, read from its first message without taking it.

use pingora_core::protocols::l4::stream::Stream as TcpStream;
use rustls::server::Acceptor as ClientHelloReader;

/// A client's first message is never larger in earnest.
const MOST_HELLO: usize = 16 << 10;

/// The name; `None` if the client asks for none.
///
/// # Errors
/// Why this is no client hello, in words.
pub(super) async fn server_name(stream: &mut TcpStream) -> Result<Option<String>, String> {
    let mut seen = Vec::new();
    let mut reader = ClientHelloReader::default();
    loop {
        let mut part = [0; 2_048];
        let read = super::more(stream, &mut part, &seen, "the client went away before it said hello").await?;
        seen.extend_from_slice(&part[..read]);
        let mut rest = &part[..read];
        while !rest.is_empty() {
            reader.read_tls(&mut rest).map_err(|error| error.to_string())?;
            match reader.accept() {
                Ok(Some(hello)) => {
                    let name = hello.client_hello().server_name().map(str::to_owned);
                    stream.rewind(&seen);
                    return Ok(name);
                }
                Ok(None) => {}
                Err((error, _)) => return Err(format!("not a TLS client hello: {error}")),
            }
        }
        if seen.len() > MOST_HELLO {
            return Err("the client's hello is too large".into());
        }
    }
}
