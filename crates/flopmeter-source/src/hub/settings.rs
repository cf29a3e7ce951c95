//! What the environment says of the Hub: the variables that its own client reads.

use super::address::Endpoint;
use crate::file;
use crate::visible::shortened;
use flopmeter::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};
use ureq::http::HeaderValue;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// Seconds, as the Hub's client waits.
const DEFAULT_TIMEOUT: u64 = 10;
/// The longest file that is read for a token; real ones have 37 characters.
const LONGEST_TOKEN: u64 = 1 << 16;

/// The variables.
pub struct Environment<'v>(pub &'v dyn Fn(&str) -> Option<OsString>);

/// What a client needs to know.
pub struct Settings {
    pub endpoint: Endpoint,
    pub token: Option<Token>,
    /// How long a description of a repository is waited for.
    pub look_up_timeout: Duration,
    /// How long a part of a file is waited for.
    pub download_timeout: Duration,
    /// Certificates that are trusted in place of the usual ones.
    pub certificates: Option<PathBuf>,
    /// Whether somebody sees the progress.
    pub progress: bool,
}

/// What says who asks. It is shown to nobody: it has no `Debug` either.
pub struct Token {
    pub header: HeaderValue,
    secret: String,
    /// The variable or the file that it was read from.
    pub from: String,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`] for a value that is none of its variable.
    pub fn read(environment: &Environment<'_>) -> Result<Self> {
        let endpoint = environment.text("HF_ENDPOINT")?;
        let quiet = environment.is_true("HF_HUB_DISABLE_PROGRESS_BARS");
        Ok(Self {
            endpoint: Endpoint::parse(endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT))?,
            token: environment.token()?,
            look_up_timeout: environment.seconds("HF_HUB_ETAG_TIMEOUT")?,
            download_timeout: environment.seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
            certificates: environment.path("SSL_CERT_FILE"),
            progress: !quiet && io::stderr().is_terminal(),
        })
    }
}

impl Environment<'_> {
    /// The cache's folder, as the Hub's client finds it.
    pub fn cache(&self) -> Option<PathBuf> {
        self.path("HF_HUB_CACHE")
            .or_else(|| self.path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(self.home()?.join("hub")))
    }

    /// The variable that forbids asking the Hub, if one does.
    pub fn offline(&self) -> Option<&'static str> {
        let set = |name: &str| self.value(name).is_some();
        let name = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(|name| set(name))?;
        self.is_true(name).then_some(name)
    }

    /// The folder of what the client keeps.
    fn home(&self) -> Option<PathBuf> {
        self.path("HF_HOME")
            .or_else(|| self.path("XDG_CACHE_HOME").map(|at| at.join("huggingface")))
            .or_else(|| Some(self.user()?.join(".cache").join("huggingface")))
    }

    fn user(&self) -> Option<PathBuf> {
        self.value("HOME").or_else(|| self.value("USERPROFILE")).map(PathBuf::from)
    }

    fn token(&self) -> Result<Option<Token>> {
        if self.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(None);
        }
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
            if let Some(text) = self.text(name)? {
                return Token::of(&text, name.to_owned());
            }
        }
        let path = self.path("HF_TOKEN_PATH").or_else(|| Some(self.home()?.join("token")));
        let Some(path) = path.filter(|path| path.is_file()) else { return Ok(None) };
        let from = file::shown(&path);
        let mut text = String::new();
        fs::File::open(&path)
            .and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut text))
            .map_err(|error| wrong(&from, format!("cannot be read: {error}")))?;
        Token::of(&text, from)
    }

    fn seconds(&self, name: &str) -> Result<Duration> {
        let Some(text) = self.text(name)? else {
            return Ok(Duration::from_secs(DEFAULT_TIMEOUT));
        };
        match text.trim().parse() {
            Ok(0) => Ok(Duration::from_secs(DEFAULT_TIMEOUT)),
            Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
            _ => Err(wrong(name, format!("is \"{}\", not seconds", shortened(&text)))
                .hint("give a whole number from 1 to 86400")),
        }
    }

    /// A variable that is set to something.
    fn value(&self, name: &str) -> Option<OsString> {
        self.0(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let text = self.value(name).map(OsString::into_string).transpose();
        text.map_err(|_| wrong(name, "is not UTF-8 text"))
    }

    /// A path; the client expands a leading `~` too.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let at = PathBuf::from(self.value(name)?);
        match at.strip_prefix("~") {
            Ok(below) => Some(self.user()?.join(below)),
            Err(_) => Some(at),
        }
    }

    fn is_true(&self, name: &str) -> bool {
        let value = self.value(name).unwrap_or_default().to_ascii_uppercase();
        ["1", "ON", "YES", "TRUE"].iter().any(|word| value == *word)
    }
}

impl Token {
    /// A token from a text around which there may be blanks; `None` if nothing else is there.
    fn of(text: &str, from: String) -> Result<Option<Self>> {
        let secret = text.trim();
        if secret.is_empty() {
            return Ok(None);
        }
        let visible = secret.bytes().all(|byte| byte.is_ascii_graphic());
        let header = HeaderValue::from_str(&format!("Bearer {secret}")).ok().filter(|_| visible);
        let Some(mut header) = header else {
            return Err(wrong(&from, "holds characters that no token has")
                .hint("make a token anew: `hf auth login`"));
        };
        header.set_sensitive(true);
        Ok(Some(Self { header, secret: secret.to_owned(), from }))
    }

    /// A stranger's text without it: a server may send back what it was sent.
    pub fn hide(&self, text: &str) -> String {
        text.replace(&self.secret, "[token]")
    }
}

fn wrong(place: &str, fact: impl Into<String>) -> Error {
    Error::new(ErrorKind::Network, place, fact)
}

#[cfg(test)]
mod tests {
    use super::{Environment, Settings};
    use std::ffi::OsString;
    use std::path::PathBuf;

    type Set<'s> = [(&'s str, &'s str)];

    fn with<T>(set: &Set<'_>, read: impl Fn(&Environment<'_>) -> T) -> T {
        let variable = |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        read(&Environment(&variable))
    }

    #[test]
    fn where_the_cache_is() {
        let of = |set: &Set<'_>| with(set, |environment| environment.cache());
        let mut set = vec![("HOME", "/h")];
        let mut next = |at: Option<(&'static str, &'static str)>, wanted: &str| {
            set.extend(at);
            assert_eq!(of(&set), Some(PathBuf::from(wanted)));
        };
        next(None, "/h/.cache/huggingface/hub");
        next(Some(("XDG_CACHE_HOME", "/x")), "/x/huggingface/hub");
        next(Some(("HF_HOME", "~/f")), "/h/f/hub");
        next(Some(("HF_HUB_CACHE", "/c")), "/c");
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HF_HOME", ""), ("HOME", "/h")]), of(&[("HOME", "/h")]));
    }

    #[test]
    fn when_the_hub_is_not_asked() {
        let of = |set: &Set<'_>| with(set, |environment| environment.offline());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HF_HUB_OFFLINE", "1")]), Some("HF_HUB_OFFLINE"));
        assert_eq!(of(&[("TRANSFORMERS_OFFLINE", "yes")]), Some("TRANSFORMERS_OFFLINE"));
        // As the client has it: the first that is set counts.
        assert_eq!(of(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]), None);
    }

    #[test]
    fn values_that_are_none() {
        let error = |set: &Set<'_>| {
            let read = with(set, |environment| Settings::read(environment).err());
            read.map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(error(&[("HF_HUB_ETAG_TIMEOUT", "0"), ("HF_TOKEN", " \n")]), "");
        assert_eq!(
            error(&[("HF_HUB_DOWNLOAD_TIMEOUT", "-1")]),
            "HF_HUB_DOWNLOAD_TIMEOUT: is \"-1\", not seconds; give a whole number from 1 to 86400"
        );
        assert_eq!(
            error(&[("HF_TOKEN", "hf_a\nb")]),
            "HF_TOKEN: holds characters that no token has; make a token anew: `hf auth login`"
        );
        let disabled = ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
        assert_eq!(error(&[("HF_TOKEN", "hf_a\nb"), disabled]), "");
    }
}
