//! Pingora's errors as text, without bytes from the upstream, which could be a user's cookie.

use pingora_core::{BError, Error};

/// The text before a buffer's content in the context of an error.
const CONTENT: &str = "buf:";
/// Maximum length of a description in characters: the names in an upstream's certificate, for example, can be long.
const MOST: usize = 500;

/// An error with its contexts and causes.
pub fn describe(error: &Error) -> String {
    let mut text = String::new();
    add(&mut text, error);
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
    }
    text
}

fn add(text: &mut String, error: &Error) {
    text.push_str(error.esource().as_str());
    text.push(' ');
    text.push_str(error.etype().as_str());
    if let Some(context) = error.context.as_ref().map(|context| context.as_str())
        && !context.trim_start().starts_with(CONTENT)
        && !context.is_empty()
    {
        text.push_str(": ");
        text.push_str(context);
    }
    let Some(cause) = &error.cause else { return };
    text.push_str("; ");
    if let Some(inner) = cause.downcast_ref::<BError>() {
        add(text, inner);
    } else if let Some(inner) = cause.downcast_ref::<Error>() {
        add(text, inner);
    } else {
        text.push_str(&cause.to_string());
    }
}

#[cfg(test)]
mod tests {
    use pingora_core::ErrorType;

    use super::*;

    #[test]
    fn an_upstreams_bytes_are_left_out_and_the_reason_is_kept() {
        let inner =
            Error::explain(ErrorType::InvalidHTTPHeader, "buf: HTTP/1.1 200 OK\\r\\nset-cookie: secret");
        let error = inner.into_up().more_context("peer 192.0.2.1:80");
        assert_eq!(
            describe(&error),
            "Upstream InvalidHTTPHeader: peer 192.0.2.1:80; Upstream InvalidHTTPHeader"
        );
        let long = Error::explain(ErrorType::ConnectError, "x".repeat(2 * MOST));
        assert_eq!(describe(&long).len(), MOST);
    }
}
