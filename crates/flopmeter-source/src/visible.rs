//! A stranger's text, made fit for a terminal: no file name, key or device name reaches it as a
//! command.

/// The text with control characters, and those that reorder or hide others, written as escapes.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if commands(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// The same, cut where nobody would read on.
pub fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    let cut = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    let mut out = visible(&text[..cut]);
    if cut < text.len() {
        out.push('…');
    }
    out
}

/// JSON with the few such characters that JSON allows in a string written as JSON's own escapes.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && commands(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a terminal would obey it, or show something else than what is there: control characters
/// (Cc), bidirectional and invisible ones (Cf), and separators of lines.
fn commands(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::{json, shortened, visible};

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_the_rest_stays() {
        assert_eq!(visible("\u{1b}[31mred\u{9b}2J\u{7}"), r"\u{1b}[31mred\u{9b}2J\u{7}");
        assert_eq!(visible("two\nlines\ttab\r"), r"two\nlines\ttab\r");
        assert_eq!(visible("gpt\u{202e}2"), r"gpt\u{202e}2");
        assert_eq!(visible(r#"C:\models\"π" é 模型"#), r#"C:\models\"π" é 模型"#);
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({"id": "a\u{9b}b\u{202e}\n\u{e0041}"});
        let text = json(&serde_json::to_string_pretty(&value).unwrap_or_default());
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(shortened(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(shortened(&"é".repeat(201)), "é".repeat(200) + "…");
    }
}
