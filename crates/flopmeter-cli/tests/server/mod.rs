//! A server that speaks the Hub's API as far as it is asked, and one that stands for the network that the
//! Hub sends one on to for large files.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The length that is stated; none where the end of the connection ends the text.
    pub stated: Option<u64>,
    /// How many zeros follow the body.
    pub zeros: u64,
    /// How long it is waited before it is sent, and after that.
    pub delay: Duration,
    pub stall: Duration,
}

/// A listener on a port of its own. It lives as long as the tests.
#[derive(Clone)]
pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    sent: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Reply {
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        let stated = Some(body.len() as u64);
        Self {
            status,
            headers: Vec::new(),
            body,
            stated,
            zeros: 0,
            delay: Duration::ZERO,
            stall: Duration::ZERO,
        }
    }

    pub fn json(text: impl AsRef<[u8]>) -> Self {
        Self::new(200, text).with("Content-Type", "application/json; charset=utf-8")
    }

    pub fn html(status: u16) -> Self {
        Self::new(status, "<!DOCTYPE html><html><body>Sign in to the network</body></html>")
            .with("Content-Type", "text/html; charset=utf-8")
    }

    /// An error as the Hub words it.
    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        let reply = Self::new(status, format!(r#"{{"error":"{message}"}}"#));
        let reply = if code.is_empty() { reply } else { reply.with("X-Error-Code", code) };
        reply.with("X-Error-Message", message)
    }

    pub fn onward(status: u16, location: impl Into<String>) -> Self {
        Self::new(status, "Found. Redirecting").with("Location", location)
    }

    /// The part of a file that the request wants: the file's first bytes, zeros after them.
    pub fn part(seen: &Seen, first: &[u8], size: u64) -> Self {
        let range = seen.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let range = range.and_then(|range| range.split_once('-'));
        let Some((from, last)) = range
            .and_then(|(from, last)| Some((from.parse::<u64>().ok()?, last.parse::<u64>().ok()?)))
        else {
            return Self {
                stated: Some(size),
                zeros: size - first.len() as u64,
                ..Self::new(200, first)
            };
        };
        let last = last.min(size - 1);
        let at = |byte: u64| usize::try_from(byte).expect("small").min(first.len());
        let body = &first[at(from)..at(last + 1)];
        let length = last + 1 - from;
        let zeros = length - body.len() as u64;
        Self { stated: Some(length), zeros, ..Self::new(206, body) }
            .with("Content-Range", format!("bytes {from}-{last}/{size}"))
            .with("Accept-Ranges", "bytes")
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Server {
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Self {
            address,
            seen: Arc::default(),
            sent: Arc::default(),
            connections: Arc::default(),
        };
        let (kept, answer) = (server.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, answer) = (kept.clone(), answer.clone());
                server.connections.fetch_add(1, Ordering::Relaxed);
                // A client that goes away ends its connection, and nothing else.
                thread::spawn(move || server.serve(stream, &*answer));
            }
        });
        server
    }

    fn serve(&self, stream: TcpStream, answer: &dyn Fn(&Seen) -> Reply) -> Option<()> {
        stream.set_nodelay(true).ok()?;
        let mut lines = BufReader::new(stream.try_clone().ok()?);
        let mut out = stream;
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let mut words = line.split_whitespace().map(str::to_owned);
            let (method, path) = (words.next()?, words.next()?);
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).ok()?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                headers.insert(name.to_lowercase(), value.to_owned());
            }
            let seen = Seen { method, path, headers };
            self.seen.lock().expect("a list").push(seen.clone());
            let reply = answer(&seen);
            thread::sleep(reply.delay);
            let mut head = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
            for (name, value) in &reply.headers {
                let _ = write!(head, "{name}: {value}\r\n");
            }
            if let Some(stated) = reply.stated {
                let _ = write!(head, "Content-Length: {stated}\r\n");
            }
            out.write_all(head.as_bytes()).and_then(|()| out.write_all(b"\r\n")).ok()?;
            self.send(&mut out, &reply.body)?;
            let (mut left, zeros) = (reply.zeros, [0; 1 << 16]);
            while left > 0 {
                let some = left.min(zeros.len() as u64);
                self.send(&mut out, &zeros[..usize::try_from(some).ok()?])?;
                left -= some;
            }
            thread::sleep(reply.stall);
            // What is less than stated ends with the connection, as does what is not stated.
            if reply.stated != Some(reply.body.len() as u64 + reply.zeros) {
                return None;
            }
        }
    }

    fn send(&self, out: &mut TcpStream, bytes: &[u8]) -> Option<()> {
        out.write_all(bytes).ok()?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Some(())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a list").clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    /// Bytes of texts that were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Host and port, as an error names it.
    pub fn host(&self) -> &str {
        self.address.strip_prefix("http://").expect("an address")
    }
}

/// A file of a repository: its first bytes and its length. A long one lies with the network for large
/// files.
#[derive(Clone)]
pub struct File {
    first: Vec<u8>,
    size: u64,
    large: bool,
}

impl File {
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        let first = text.as_ref().to_vec();
        Self { size: first.len() as u64, first, large: false }
    }

    pub fn large((first, size): (Vec<u8>, u64)) -> Self {
        Self { first, size, large: true }
    }
}

/// A Hub that has one repository, `org/name`, and the network that has its large files.
pub struct Hub {
    pub server: Server,
    pub cdn: Server,
}

type Files = BTreeMap<String, File>;

impl Hub {
    pub fn of(files: &[(&str, File)]) -> Self {
        Self::but(files, |_| None)
    }

    /// The same, where `odd` answers first.
    pub fn but(
        files: &[(&str, File)],
        odd: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let files: Files =
            files.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect();
        let odd = Arc::new(odd);
        let (held, other) = (files.clone(), odd.clone());
        let cdn = Server::start(move |seen| {
            let path = seen.path.split('?').next().unwrap_or_default();
            let file = path.strip_prefix("/large/").and_then(|name| held.get(name));
            match (other(seen), file) {
                (Some(reply), _) => reply,
                (None, Some(file)) => Reply::part(seen, &file.first, file.size),
                (None, None) => Reply::new(404, "NoSuchKey"),
            }
        });
        let large = cdn.address.clone();
        let server = Server::start(move |seen| {
            odd(seen).unwrap_or_else(|| answer(&files, &seen.path, &large, seen))
        });
        Self { server, cdn }
    }
}

/// What the Hub answers.
fn answer(files: &Files, path: &str, cdn: &str, seen: &Seen) -> Reply {
    let path = path.split('?').next().unwrap_or_default();
    let is_revision =
        |revision: &str| ["main", "v1.0", "refs%2Fpr%2F3", COMMIT].contains(&revision);
    let no_revision = |revision: &str| {
        Reply::refusal(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"))
    };
    if let Some(revision) = path.strip_prefix("/api/models/org/name/revision/") {
        if !is_revision(revision) {
            return no_revision(revision);
        }
        let siblings: Vec<String> =
            files.keys().map(|name| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
        return Reply::json(format!(
            r#"{{"_id":"0","id":"org/name","sha":"{COMMIT}","siblings":[{}]}}"#,
            siblings.join(",")
        ));
    }
    if let Some(rest) = path.strip_prefix("/org/name/resolve/") {
        let (revision, name) = rest.split_once('/').expect("a file");
        let Some(file) = files.get(name) else {
            return Reply::refusal(404, "EntryNotFound", "Entry not found");
        };
        let reply = match (is_revision(revision), file.large) {
            (false, _) => return no_revision(revision),
            // As of 2025 a short file is sent from another path of the same host.
            (true, false) => Reply::onward(
                307,
                format!("/api/resolve-cache/models/org/name/{COMMIT}/{name}?etag=1"),
            ),
            (true, true) => {
                Reply::onward(302, format!("{cdn}/large/{name}?Signature=of-the-network"))
                    .with("X-Linked-Size", file.size.to_string())
                    .with("X-Linked-ETag", "\"c0ffee\"")
            }
        };
        return reply.with("X-Repo-Commit", COMMIT);
    }
    let cached = format!("/api/resolve-cache/models/org/name/{COMMIT}/");
    if let Some(file) = path.strip_prefix(&cached).and_then(|name| files.get(name)) {
        return Reply::part(seen, &file.first, file.size).with("X-Repo-Commit", COMMIT);
    }
    // What the Hub says of a repository that does not exist, to whoever sends no token.
    match seen.headers.contains_key("authorization") {
        false => Reply::refusal(401, "RepoNotFound", "Invalid username or password."),
        true => Reply::refusal(404, "RepoNotFound", "Repository not found"),
    }
}
