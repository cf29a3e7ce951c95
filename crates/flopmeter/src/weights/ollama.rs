//! Ollama: a tag → the manifest that its store has, and the blobs that the manifest names.
//!
//! ```text
//! manifests/registry.ollama.ai/library/<name>/<tag>   {"layers": [{"mediaType": …, "digest": "sha256:…"}]}
//! blobs/sha256-…                                      a GGUF file
//! ```

use crate::error::{Error, ErrorKind, Result, cause, shown};
use serde::Deserialize;

/// The longest manifest that is read; real ones have a kilobyte.
const LONGEST_TEXT: usize = 1 << 20;
const MODEL: &str = "application/vnd.ollama.image.model";

/// What a manifest says of a model.
///
/// # Example
///
/// ```
/// use flopmeter::weights::ollama::Manifest;
///
/// let digest = "0".repeat(64);
/// let manifest = Manifest::parse(&format!(
///     r#"{{"layers": [{{"mediaType": "application/vnd.ollama.image.model",
///         "digest": "sha256:{digest}", "size": 9}}]}}"#
/// ))?;
/// assert_eq!(manifest.blobs, [(format!("sha256-{digest}"), 9)]);
/// # Ok::<(), flopmeter::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The files of the weights: their names among the blobs, and their lengths.
    pub blobs: Vec<(String, u64)>,
    /// What else is to be loaded: `adapter`, `projector`.
    pub others: Vec<String>,
}

#[derive(Deserialize)]
struct Json {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
}

impl Manifest {
    /// Reads the text of a manifest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Weights`] for text that is none, for one without weights, and for a digest that is no
    /// name of a blob.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST_TEXT {
            let fact =
                format!("is {} bytes long; the longest that is read is {LONGEST_TEXT}", text.len());
            return Err(Error::new(ErrorKind::Weights, "manifest", fact));
        }
        let json: Json = serde_json::from_str(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::new(ErrorKind::Weights, place, format!("is no manifest: {}", cause(&error)))
        })?;
        let (mut blobs, mut others) = (Vec::new(), Vec::new());
        for (at, layer) in json.layers.iter().enumerate() {
            if layer.media_type == MODEL {
                let hash = layer.digest.strip_prefix("sha256:").filter(|hash| {
                    hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
                });
                let Some(hash) = hash else {
                    let fact = format!("is \"{}\", no SHA-256", shown(&layer.digest));
                    return Err(Error::new(
                        ErrorKind::Weights,
                        format!("`layers[{at}].digest`"),
                        fact,
                    ));
                };
                blobs.push((format!("sha256-{hash}"), layer.size));
            } else if let Some(kind) =
                layer.media_type.strip_prefix("application/vnd.ollama.image.")
                && ["adapter", "projector"].contains(&kind)
            {
                others.push(kind.to_owned());
            }
        }
        if blobs.is_empty() {
            return Err(Error::new(ErrorKind::Weights, "`layers`", format!("none is a {MODEL}")));
        }
        Ok(Self { blobs, others })
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        Manifest::parse(text).expect_err("refused").to_string()
    }

    #[test]
    fn what_is_no_manifest() {
        assert!(error("").starts_with("line 1, column 0: is no manifest: EOF"), "{}", error(""));
        assert!(error("<html>").starts_with("line 1, column 1: is no manifest: expected value"));
        assert!(error("{}").contains("missing field `layers`"));
        assert_eq!(
            error(r#"{"layers": []}"#),
            "`layers`: none is a application/vnd.ollama.image.model"
        );
        let layer = |digest: &str| {
            format!(
                r#"{{"layers": [{{"mediaType": "application/vnd.ollama.image.model",
                    "digest": "{digest}", "size": 1}}]}}"#
            )
        };
        for digest in ["", "sha256:../../x", "sha256:00", "md5:00"] {
            let wanted = format!("`layers[0].digest`: is \"{digest}\", no SHA-256");
            assert_eq!(error(&layer(digest)), wanted);
        }
        assert!(error(&layer(&"x".repeat(2 << 20))).contains("the longest that is read"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Manifest::parse(&text);
        }
    }
}
