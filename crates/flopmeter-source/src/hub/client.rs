//! Requests to the Hub: whole short files, and parts of long ones.
//!
//! Redirects are followed here and not by the HTTP client, for a file's address on the Hub leads to one
//! elsewhere, which must not learn who asks.

use super::address::onward;
use super::answer::{Expected, Part, text_of};
use super::refusal::{self, Failure};
use super::settings::Settings;
use super::{address, place};
use crate::file;
use crate::visible::shortened;
use flopmeter::{Error, ErrorKind, Result};
use std::fs;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;
use ureq::http::{Response, StatusCode, Uri, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

/// How many requests run at once, and how many connections are kept for them.
pub const PARALLEL: usize = 8;
const MOST_REDIRECTS: usize = 10;
/// What is read of a redirect's own text, so that its connection can be used again.
const REDIRECT_TEXT: u64 = 16 << 10;
/// How long it is waited before each further attempt.
const WAITS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];
/// A Hub that wants one to wait longer than this is not asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// An answer is whole within so many times the time in which it has to begin.
const WHOLE: u32 = 6;

/// What is asked about: a repository at a revision, or a file of it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub repository: &'a str,
    pub revision: &'a str,
    pub file: Option<&'a str>,
}

/// What the Hub gave.
pub struct Answer {
    pub bytes: Vec<u8>,
    /// The length of the whole file.
    pub file_bytes: u64,
}

/// Who asks.
pub struct Client {
    pub settings: Settings,
    agent: Agent,
    /// The proxy through which it asks, without its password.
    proxy: Option<String>,
    requests: AtomicU64,
    bytes_read: AtomicU64,
}

impl Asked<'_> {
    /// Where it is at the Hub.
    fn path(&self) -> String {
        let (repository, revision) = (self.repository, address::escaped(self.revision));
        match self.file {
            None => {
                format!("api/models/{repository}/revision/{revision}?expand=sha&expand=siblings")
            }
            Some(file) => {
                let file: Vec<String> = file.split('/').map(address::escaped).collect();
                format!("{repository}/resolve/{revision}/{}", file.join("/"))
            }
        }
    }

    /// How an error names it.
    pub fn place(&self) -> String {
        match self.file {
            None => place(self.repository),
            Some(file) => format!("{}: {}", place(self.repository), shortened(file)),
        }
    }
}

impl Client {
    /// A client; it connects to nobody yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`] for certificates that are none.
    pub fn new(settings: Settings) -> Result<Self> {
        let proxy = Proxy::try_from_env();
        let shown = proxy.as_ref().map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(2 * PARALLEL)
            .max_idle_connections_per_host(PARALLEL)
            .user_agent(concat!("flopmeter/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(certificates(&settings)?).build())
            .build();
        Ok(Self {
            settings,
            agent: config.into(),
            proxy: shown,
            requests: AtomicU64::default(),
            bytes_read: AtomicU64::default(),
        })
    }

    /// Asks, again where that may help.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`], [`ErrorKind::Access`] or [`ErrorKind::Place`], as the Hub refuses.
    pub fn get(&self, asked: Asked<'_>, part: Part) -> Result<Answer> {
        let mut waits = WAITS.into_iter();
        loop {
            let failure = match self.attempt(asked, part) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match (failure.again, waits.next()) {
                (Some(least), Some(wait)) if least <= LONGEST_WAIT => sleep(wait.max(least)),
                _ => return Err(failure.error),
            }
        }
    }

    /// How many requests were answered, and how many bytes of answers were read.
    pub fn used(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.bytes_read.load(Ordering::Relaxed))
    }

    fn attempt(&self, asked: Asked<'_>, part: Part) -> std::result::Result<Answer, Failure> {
        let network = |fact: &str| Error::new(ErrorKind::Network, asked.place(), fact);
        let Some(mut uri) = self.settings.endpoint.at(&asked.path()) else {
            return Err(network("has no address").into());
        };
        for _ in 0..=MOST_REDIRECTS {
            let response = self
                .send(&uri, asked, part)
                .map_err(|error| self.unreachable(&uri, asked, &error))?;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let status = response.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return match status.is_success() {
                    true => self.receive(response, &uri, asked, part),
                    false if self.settings.endpoint.is_of(&uri) => {
                        Err(refusal::of_status(&response, asked, &self.settings))
                    }
                    false => Err(refusal::of_another(status, asked, &host(&uri))),
                };
            }
            let location = text_of(&response, header::LOCATION.as_str());
            uri = onward(&uri, location)
                .map_err(|fact| network(&format!("{} {fact}", host(&uri))))?;
            let _ = self.read(response.into_body(), REDIRECT_TEXT);
        }
        Err(network(&format!("sends one on more than {MOST_REDIRECTS} times")).into())
    }

    fn send(
        &self,
        uri: &Uri,
        asked: Asked<'_>,
        part: Part,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let timeout = self.timeout(asked);
        let mut request = self.agent.get(uri).header(header::ACCEPT_ENCODING, "identity");
        if let Part::Bytes { from, to } = part {
            request = request.header(header::RANGE, format!("bytes={from}-{}", to.max(1) - 1));
        }
        if let Some(token) = &self.settings.token
            && self.settings.endpoint.is_of(uri)
        {
            request = request.header(header::AUTHORIZATION, &token.header);
        }
        request
            .config()
            .timeout_resolve(Some(timeout))
            .timeout_connect(Some(timeout))
            .timeout_recv_response(Some(timeout))
            .timeout_per_read(Some(timeout))
            .timeout_global(Some(timeout * WHOLE))
            .build()
            .call()
    }

    fn timeout(&self, asked: Asked<'_>) -> Duration {
        match asked.file {
            None => self.settings.look_up_timeout,
            Some(_) => self.settings.download_timeout,
        }
    }

    /// What an answer holds, and no more than was asked for.
    fn receive(
        &self,
        response: Response<Body>,
        uri: &Uri,
        asked: Asked<'_>,
        part: Part,
    ) -> std::result::Result<Answer, Failure> {
        let wrong = |fact: String| {
            let fact = format!("{} {fact}", host(uri));
            let error = Error::new(ErrorKind::Network, asked.place(), fact);
            Failure::from(error.hint(refusal::NOT_THE_HUB))
        };
        let is_page = text_of(&response, header::CONTENT_TYPE.as_str())
            .get(..9)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        let expected = Expected::of(&response, part).map_err(wrong)?;
        let most = match expected {
            Expected::AtMost(most) => most,
            Expected::Exactly { length, .. } => length,
        };
        let bytes = self
            .read(response.into_body(), most)
            .map_err(|error| self.unreachable(uri, asked, &error))?;
        let read = bytes.len() as u64;
        match expected {
            Expected::AtMost(_) if is_page || bytes.trim_ascii_start().starts_with(b"<") => {
                Err(wrong("answers with a page of HTML, not with what was asked for".into()))
            }
            Expected::AtMost(most) if read > most => {
                Err(wrong(format!("sends more than {most} bytes, the most that are read")))
            }
            Expected::AtMost(_) => Ok(Answer { bytes, file_bytes: read }),
            Expected::Exactly { length, .. } if length != read => {
                let more = if read > length { "more".to_owned() } else { read.to_string() };
                Err(wrong(format!("says that it sends {length} bytes and sends {more}")))
            }
            Expected::Exactly { file_bytes, .. } => Ok(Answer { bytes, file_bytes }),
        }
    }

    /// Reads so many bytes, and one more if there are more.
    fn read(&self, mut body: Body, most: u64) -> std::result::Result<Vec<u8>, ureq::Error> {
        let mut bytes = Vec::new();
        let read = body.as_reader().take(most + 1).read_to_end(&mut bytes);
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        read.map_err(ureq::Error::from)?;
        Ok(bytes)
    }

    fn unreachable(&self, uri: &Uri, asked: Asked<'_>, error: &ureq::Error) -> Failure {
        let through = self.proxy.as_ref();
        let through =
            through.map_or(String::new(), |proxy| format!(" (through the proxy {proxy})"));
        let timeout = self.timeout(asked);
        refusal::of_error(error, asked, &format!("{}{through}", host(uri)), timeout)
    }
}

/// The certificates that are trusted: those of the variable, or those of the usual authorities.
fn certificates(settings: &Settings) -> Result<RootCerts> {
    let Some(path) = &settings.certificates else { return Ok(RootCerts::WebPki) };
    let shown = file::shown(path);
    let wrong = |fact: String| {
        Error::new(ErrorKind::Network, shown.clone(), fact)
            .hint("SSL_CERT_FILE names it: give a file of certificates in PEM, or unset it")
    };
    let pem = fs::read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".into()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

/// Who answers at an address; the rest of it may be a secret.
fn host(uri: &Uri) -> String {
    // A password would stand before the host.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    shortened(authority.rsplit('@').next().unwrap_or_default())
}
