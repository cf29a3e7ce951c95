//! Addresses on the Hub: where it is, what lies where in it, and where an answer may send one on to.

use crate::visible::shortened;
use flopmeter::{Error, ErrorKind, Result};
use std::fmt::Write;
use ureq::http::Uri;

/// Where the Hub is.
pub struct Endpoint {
    /// Without a slash at its end.
    text: String,
    uri: Uri,
}

impl Endpoint {
    /// Reads `https://huggingface.co`, or what stands in for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`] for what is no such address. It is not shown if it holds a password.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim().trim_end_matches('/');
        let wrong = |fact: String| Error::new(ErrorKind::Network, "HF_ENDPOINT", fact);
        if text.contains('@') {
            return Err(wrong("names a user".into()).hint("a token is given in HF_TOKEN"));
        }
        let uri = text.parse::<Uri>().ok().filter(|uri| {
            let scheme = uri.scheme_str().unwrap_or_default();
            ["http", "https"].contains(&scheme)
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        });
        match uri {
            Some(uri) => Ok(Self { text: text.to_owned(), uri }),
            None => Err(wrong(format!("is \"{}\", no address of a Hub", shortened(text)))
                .hint("give one such as https://huggingface.co")),
        }
    }

    /// Its host, and its port if it names one.
    pub fn host(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// The page of a repository.
    pub fn page(&self, repository: &str) -> String {
        format!("{}/{repository}", self.text)
    }

    /// What is at a path in it.
    pub fn at(&self, path: &str) -> Option<Uri> {
        format!("{}/{path}", self.text).parse().ok()
    }

    /// Whether an address is the Hub's own, so that it may learn who asks.
    pub fn is_of(&self, uri: &Uri) -> bool {
        origin(uri) == origin(&self.uri)
    }
}

/// Scheme, host and port.
fn origin(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let scheme = uri.scheme_str();
    let usual = if scheme == Some("https") { 443 } else { 80 };
    (scheme, uri.host().map(str::to_ascii_lowercase), Some(uri.port_u16().unwrap_or(usual)))
}

/// Where an answer sends one on to; what is wrong with it otherwise.
pub fn onward(from: &Uri, location: &str) -> std::result::Result<Uri, &'static str> {
    let scheme = from.scheme_str().unwrap_or_default();
    let authority = from.authority().map_or("", |authority| authority.as_str());
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    };
    let uri: Uri = absolute.parse().map_err(|_| "sends one on to what is no address")?;
    match (scheme, uri.scheme_str(), uri.host()) {
        ("https", Some("http"), _) => Err("sends one on from https to http"),
        (_, Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("sends one on to what is no address"),
    }
}

/// A text as a part of a path: all that is not plain is escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, escaped, onward};

    #[test]
    fn what_is_a_hub() {
        let error = |text| Endpoint::parse(text).err().map(|error| error.to_string());
        for good in ["https://huggingface.co/", "http://127.0.0.1:8080", "https://a.b/c/d"] {
            assert_eq!(error(good), None, "{good}");
        }
        for bad in ["huggingface.co", "ftp://a", "https://", "http://a/?b=c", "http://a b", ""] {
            let error = error(bad).unwrap_or_default();
            assert!(error.starts_with("HF_ENDPOINT: is "), "{bad}: {error}");
        }
        let error = error("https://me:secret@a").unwrap_or_default();
        assert_eq!(error, "HF_ENDPOINT: names a user; a token is given in HF_TOKEN");
    }

    #[test]
    fn who_may_learn_the_token() {
        let is_of = |endpoint: &str, uri: &str| {
            Endpoint::parse(endpoint).is_ok_and(|it| uri.parse().is_ok_and(|uri| it.is_of(&uri)))
        };
        assert!(is_of("https://a.b", "https://A.B:443/c?d"));
        assert!(is_of("http://a.b:8080/hub", "http://a.b:8080/other"));
        for other in ["http://a.b/", "https://a.b:444/", "https://c.a.b/", "https://a.b.c/"] {
            assert!(!is_of("https://a.b", other), "{other}");
        }
    }

    #[test]
    fn where_an_answer_leads() {
        let from = "https://a.b:8/c/d".parse().unwrap_or_default();
        let to = |location| onward(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/e?f=1"), Ok("https://a.b:8/e?f=1".to_owned()));
        assert_eq!(to("//g.h/e"), Ok("https://g.h/e".to_owned()));
        assert_eq!(to("https://g.h/e"), Ok("https://g.h/e".to_owned()));
        assert_eq!(to("http://g.h/e"), Err("sends one on from https to http"));
        for bad in ["", "e", "file:///etc/passwd", "https://", "/a b"] {
            assert_eq!(to(bad), Err("sends one on to what is no address"), "{bad}");
        }
        let from = "http://a/".parse().unwrap_or_default();
        assert!(onward(&from, "https://b/").is_ok());
    }

    #[test]
    fn what_is_escaped() {
        assert_eq!(escaped("refs/pr/3"), "refs%2Fpr%2F3");
        assert_eq!(escaped("a-b_c.0~ é?#%"), "a-b_c.0~%20%C3%A9%3F%23%25");
    }
}
