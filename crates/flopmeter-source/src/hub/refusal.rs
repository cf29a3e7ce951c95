//! What the Hub refuses with, and what keeps one from reaching it, as errors that say what to do.

use super::answer::text_of;
use super::client::Asked;
use super::place;
use super::settings::Settings;
use crate::visible::shortened;
use flopmeter::{Error, ErrorKind};
use std::error::Error as _;
use std::io;
use std::time::Duration;
use ureq::Body;
use ureq::http::{Response, StatusCode};

/// For an answer that the Hub does not give.
pub const NOT_THE_HUB: &str =
    "a proxy or a login page may have answered in its place; see HF_ENDPOINT and HTTPS_PROXY";

/// An error, and whether to ask again: after this time at least.
pub struct Failure {
    pub error: Error,
    pub again: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: None }
    }
}

impl Failure {
    fn for_now(error: Error) -> Self {
        Self { error, again: Some(Duration::ZERO) }
    }
}

/// What a status says. The Hub names the reason in a header.
pub fn of_status(response: &Response<Body>, asked: Asked<'_>, settings: &Settings) -> Failure {
    let status = response.status();
    let (endpoint, token) = (&settings.endpoint, settings.token.as_ref());
    let (host, page) = (endpoint.host(), endpoint.page(asked.repository));
    let said = text_of(response, "x-error-message");
    let said = token.map_or_else(|| said.to_owned(), |token| token.hide(said));
    let repository = |kind, fact: String| Error::new(kind, place(asked.repository), fact);
    let at = |kind, fact: String| Error::new(kind, asked.place(), fact);
    let log_in = "set HF_TOKEN, or `hf auth login`";
    let error = match (text_of(response, "x-error-code"), status) {
        ("GatedRepo", _) => match token {
            None => {
                repository(ErrorKind::Access, format!("is gated on {host}, and no token was sent"))
                    .hint(format!("ask for access on {page}, then {log_in}"))
            }
            Some(token) => {
                let fact =
                    format!("is gated on {host}, and the token of {} has no access", token.from);
                repository(ErrorKind::Access, fact).hint(format!("ask for access on {page}"))
            }
        },
        ("RevisionNotFound", _) => {
            let fact = format!("has no revision `{}` on {host}", shortened(asked.revision));
            repository(ErrorKind::Place, fact)
                .hint("give a branch, a tag or the hash of a commit, or leave the revision out")
        }
        ("EntryNotFound", _) => at(ErrorKind::Place, format!("is not in the repository on {host}")),
        // Whoever sends no token is told so of a repository that does not exist, too.
        ("RepoNotFound", _) | (_, StatusCode::UNAUTHORIZED) if token.is_none() => {
            repository(ErrorKind::Place, format!("does not exist on {host}, or is private"))
                .hint(format!("check the name; if it is private, {log_in}"))
        }
        ("RepoNotFound", _) => {
            let fact = format!("does not exist on {host}, or the token may not see it");
            repository(ErrorKind::Place, fact).hint("check the name")
        }
        (_, StatusCode::UNAUTHORIZED) => {
            let from = token.map_or("", |token| &token.from);
            let fact = format!("{host} does not accept the token of {from}");
            repository(ErrorKind::Access, fact)
                .hint("make a token anew: `hf auth login`, or unset it if the repository is public")
        }
        (_, StatusCode::FORBIDDEN) => {
            let said =
                if said.is_empty() { String::new() } else { format!(": {}", shortened(&said)) };
            at(ErrorKind::Access, format!("may not be read from {host}{said}"))
                .hint("give the token the right to read it; a fine-grained one has none by itself")
        }
        (_, StatusCode::NOT_FOUND) => at(ErrorKind::Place, format!("is not found on {host}")),
        (_, StatusCode::TOO_MANY_REQUESTS) => return too_many(response, at, settings),
        (_, status) => {
            let fact = format!("{host} answers with status {}", status.as_u16());
            let error = at(ErrorKind::Network, fact);
            if status.is_server_error() {
                return Failure::for_now(error.hint("try again later"));
            }
            error.hint(NOT_THE_HUB)
        }
    };
    error.into()
}

/// What the status of another host says, to which the Hub sent one on: it knows neither repository nor
/// token.
pub fn of_another(status: StatusCode, asked: Asked<'_>, host: &str) -> Failure {
    let fact = format!("{host} answers with status {}", status.as_u16());
    let error = Error::new(ErrorKind::Network, asked.place(), fact)
        .hint("try again: the Hub gave an address there, which may have expired");
    if status.is_server_error() { Failure::for_now(error) } else { error.into() }
}

fn too_many(
    response: &Response<Body>,
    at: impl Fn(ErrorKind, String) -> Error,
    settings: &Settings,
) -> Failure {
    let host = settings.endpoint.host();
    let wait = reset(text_of(response, "ratelimit"))
        .or_else(|| text_of(response, "retry-after").trim().parse().ok());
    let error =
        at(ErrorKind::Network, format!("{host} allows no more requests for now (status 429)"));
    let mut error = error.hint(match wait {
        Some(seconds) => format!("try again in {seconds} s"),
        None => "try again later".to_owned(),
    });
    if settings.token.is_none() {
        error = error.hint("with a token more are allowed: set HF_TOKEN, or `hf auth login`");
    }
    Failure { error, again: Some(Duration::from_secs(wait.unwrap_or(0))) }
}

/// What is wrong on the way to a host that was asked.
pub fn of_error(error: &ureq::Error, asked: Asked<'_>, host: &str, timeout: Duration) -> Failure {
    let at = |fact: String| Error::new(ErrorKind::Network, asked.place(), fact);
    let unreached = "check the network, HF_ENDPOINT and HTTPS_PROXY";
    match error {
        ureq::Error::HostNotFound => at(format!("{host} is not found")).hint(unreached).into(),
        ureq::Error::Timeout(_) => late(at, asked, host, timeout),
        ureq::Error::Rustls(cause) => untrusted(at, host, cause),
        ureq::Error::Tls(cause) => untrusted(at, host, cause),
        ureq::Error::ConnectProxyFailed(cause) => {
            at(format!("{host} is not reached: {}", shortened(cause))).hint(unreached).into()
        }
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::TimedOut => late(at, asked, host, timeout),
            io::ErrorKind::ConnectionRefused => {
                at(format!("{host} refuses the connection")).hint(unreached).into()
            }
            // What the TLS layer says comes as this kind.
            io::ErrorKind::InvalidData => untrusted(at, host, error),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Failure::for_now(
                at(format!("{host} breaks off its answer: {error}")).hint("try again later"),
            ),
            _ => {
                // Names that are not resolved come as a cause of no kind of its own.
                let cause = error.source().map_or_else(|| error.to_string(), |it| it.to_string());
                at(format!("{host} is not reached: {}", shortened(&cause))).hint(unreached).into()
            }
        },
        other => {
            at(format!("{host} does not answer as HTTP has it: {}", shortened(&other.to_string())))
                .hint(NOT_THE_HUB)
                .into()
        }
    }
}

fn late(at: impl Fn(String) -> Error, asked: Asked<'_>, host: &str, timeout: Duration) -> Failure {
    let variable = match asked.file {
        None => "HF_HUB_ETAG_TIMEOUT",
        Some(_) => "HF_HUB_DOWNLOAD_TIMEOUT",
    };
    at(format!("{host} does not answer in time ({} s)", timeout.as_secs()))
        .hint(format!("check the network, or wait longer with {variable}"))
        .into()
}

fn untrusted(at: impl Fn(String) -> Error, host: &str, cause: &dyn std::fmt::Display) -> Failure {
    at(format!("no secure connection to {host}: {}", shortened(&cause.to_string())))
        .hint("name certificates to trust, such as a proxy's, with SSL_CERT_FILE")
        .into()
}

/// The seconds until a limit that is reached is lifted: 55 of `"api";r=0;t=55`.
fn reset(limit: &str) -> Option<u64> {
    let value = |name: &str| {
        let mut parts = limit.split(';').filter_map(|part| part.trim().split_once('='));
        parts.find(|(key, _)| *key == name)?.1.trim().parse::<u64>().ok()
    };
    value("t").filter(|_| value("r") == Some(0))
}

#[cfg(test)]
mod tests {
    use super::reset;

    #[test]
    fn when_a_limit_is_lifted() {
        assert_eq!(reset(r#""api";r=0;t=55"#), Some(55));
        assert_eq!(reset(r#""api"; r=0; t=7"#), Some(7));
        for none in ["", r#""api";r=3;t=55"#, r#""api";r=0"#, r#""api";r=0;t=-1"#, "r=0 t=1"] {
            assert_eq!(reset(none), None, "{none}");
        }
    }
}
