//! Origins of pages: scheme, host and port (RFC 6454).

use std::str::FromStr;

use http::HeaderValue;
use url::Url;

/// An origin of web pages, exactly as browsers send it in `Origin`: `https://shop.example` or `http://localhost:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// A text is not the origin of web pages.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrigin {
    /// The text names no origin, or all of them.
    #[error("not an origin, such as https://shop.example; each origin is named exactly, without wildcards")]
    Unreadable,
    /// The text is a URL of an origin, which browsers write differently.
    #[error("not written as browsers send it, which is {0}")]
    Different(String),
}

impl Origin {
    /// Returns the value that browsers send in `Origin`.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    /// Parses the serialization of an origin (RFC 6454 section 6.2).
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let url = Url::parse(text).map_err(|_| NotAnOrigin::Unreadable)?;
        let is_page = matches!(url.scheme(), "http" | "https");
        if !is_page || text.contains('*') {
            return Err(NotAnOrigin::Unreadable);
        }
        let serialized = url.origin().ascii_serialization();
        if serialized != text {
            return Err(NotAnOrigin::Different(serialized));
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| NotAnOrigin::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        for text in [
            "https://shop.example",
            "http://localhost:3000",
            "https://[::1]:8443",
            "https://xn--bcher-kva.example",
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().header(), text);
        }
        for (text, expected) in [
            ("https://shop.example/", "https://shop.example"),
            ("https://shop.example/cart?a=1", "https://shop.example"),
            ("https://Shop.Example", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            ("https://user@shop.example", "https://shop.example"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin::Different(expected.into())), "{text}");
        }
        for text in
            ["", "*", "null", "shop.example", "https://", "https://*.shop.example", "file:///tmp", "data:,x"]
        {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin::Unreadable), "{text}");
        }
    }
}
