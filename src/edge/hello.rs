//! Reads the server name (SNI) in a TLS client hello without consuming it.

use pingora_core::protocols::l4::stream::Stream as TcpStream;
use rustls::server::Acceptor as ClientHelloReader;

use super::refused::TlsError;

/// Real clients never send a larger first message.
const MAX_HELLO: usize = 16 << 10;

/// The name; `None` if the client sends none.
///
/// # Errors
/// Why this is not a client hello.
pub(super) async fn server_name(stream: &mut TcpStream) -> Result<Option<String>, TlsError> {
    let mut seen = Vec::new();
    let mut reader = ClientHelloReader::default();
    loop {
        let mut part = [0; 2_048];
        let read = super::more(stream, &mut part, &seen, "its client hello was complete").await?;
        seen.extend_from_slice(&part[..read]);
        let mut rest = &part[..read];
        while !rest.is_empty() {
            reader.read_tls(&mut rest).map_err(TlsError::Buffer)?;
            match reader.accept() {
                Ok(Some(hello)) => {
                    let name = hello.client_hello().server_name().map(str::to_owned);
                    stream.rewind(&seen);
                    return Ok(name);
                }
                Ok(None) => {}
                Err((error, _)) => return Err(TlsError::NotHello(error)),
            }
        }
        if seen.len() > MAX_HELLO {
            return Err(TlsError::TooLarge);
        }
    }
}
