use super::{Index, header_length, tensors};
use proptest::prelude::*;

/// A header's JSON and the bytes of the file that has `data` bytes after it.
fn read(json: &str, data: u64) -> Result<usize, String> {
    tensors(json.as_bytes(), 8 + json.len() as u64 + data)
        .map(|tensors| tensors.len())
        .map_err(|error| error.to_string())
}

fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}"#)
}

#[test]
fn headers_that_are_whole() {
    assert_eq!(read("{}", 0), Ok(0));
    assert_eq!(read(r#"{"__metadata__": {"format": "pt"}}   "#, 0), Ok(0));
    let (a, b) = (entry("a", "BF16", "[2, 3]", "[4, 16]"), entry("b", "F32", "[]", "[0, 4]"));
    assert_eq!(read(&format!("{{{a}, {b}}}"), 16), Ok(2));
    assert_eq!(read(&format!("{{{}}}", entry("e", "F32", "[0, 5]", "[0, 0]")), 0), Ok(1));
    assert_eq!(read(&format!("{{{}}}", entry("e", "F4", "[3, 4]", "[0, 6]")), 6), Ok(1));
}

#[test]
fn a_text_that_the_parser_quotes_is_short_and_on_its_line() {
    let long = "x".repeat(5000);
    for key in [r"data\f", r"\u001b[31m", r"\n", &long] {
        let error = read(&format!(r#"{{"a": {{"{key}": 0}}}}"#), 0).expect_err("refused");
        assert!(error.contains("unknown field"), "{error}");
        assert!(!error.contains(char::is_control) && error.len() < 400, "{error:?}");
    }
}

#[test]
fn tensors_that_are_not_where_they_should_be() {
    let a = entry("a", "U8", "[4]", "[0, 4]");
    let with = |other: &str, data| read(&format!("{{{a}, {other}}}"), data).expect_err("refused");
    let b = |shape, offsets| entry("b", "U8", shape, offsets);
    assert_eq!(
        with(&b("[4]", "[3, 7]"), 7),
        "tensor `b`: its bytes 3..7 overlap those before: 4 is next"
    );
    assert_eq!(
        with(&b("[4]", "[5, 9]"), 9),
        "tensor `b`: its bytes 5..9 leave a hole or go backwards: 4 is next"
    );
    assert_eq!(
        with(&b("[4]", "[4, 3]"), 9),
        "tensor `b`: its bytes 4..3 leave a hole or go backwards: 4 is next"
    );
    assert_eq!(
        with(&b("[4]", "[4, 8]"), 7),
        "tensor `b`: ends at byte 8 of the data, of which the file has 7; the file is cut off: fetch it again"
    );
    assert_eq!(
        with(&b("[5]", "[4, 8]"), 8),
        "tensor `b`: has 4 bytes, which U8 of shape [5] does not"
    );
    let huge = "[9223372036854775808, 2]";
    assert!(with(&b(huge, "[4, 4]"), 4).contains("has 0 bytes, which U8 of shape"));
    assert_eq!(
        with(&entry("b", "Q4", "[4]", "[4, 8]"), 8),
        "tensor `b`: has the unknown dtype \"Q4\""
    );
    // 8 before the JSON, its own 65, and the 4 of the tensor.
    let json = format!("{{{a}}}");
    let end = 8 + json.len() + 4;
    assert_eq!(
        read(&json, 5),
        Err(format!("byte {end}: the tensors end at byte 4 of the data, the file at 5"))
    );
}

#[test]
fn what_is_no_header() {
    let fact = |json: &str| read(json, 0).expect_err("refused");
    assert!(fact("").starts_with("byte 8: the header ends where an object should be;"));
    assert!(fact("[]").starts_with("byte 8: the header has `[` where an object should be;"));
    assert!(
        fact("{\n \"a\": 5}")
            .starts_with("byte 16: the header says of `a`: has `5` where an object should be;")
    );
    assert!(fact(r#"{"__metadata__": {"a": 5}}"#).contains("has `5` where a text should be"));
    assert!(fact(r#"{"__metadata__": {}, "__metadata__": {}}"#).contains("`__metadata__` twice"));
    assert!(fact("{} {}").starts_with("byte 11: the header has `{` where the end should be"));
    let long = format!(
        r#"{{"{}": {{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}}}"#,
        "a".repeat(256)
    );
    assert!(
        fact(&long)
            .contains("has a name of 256 bytes; 255 are the most; give the config.json alone")
    );
    let parts = format!(r#"{{"{}": {{}}}}"#, "a.".repeat(16));
    assert!(
        fact(&parts)
            .contains("has a name of 17 parts; 16 are the most; give the config.json alone")
    );
    for (info, says) in [
        (r#"{"dtype": "U8", "shape": [0]}"#, "it has no field `data_offsets`"),
        (r#"{"dtype": "U8", "data_offsets": [0, 0]}"#, "it has no field `shape`"),
        (r#"{"shape": [0], "data_offsets": [0, 0]}"#, "it has no field `dtype`"),
        (r#"{"dtype": "U8", "dtype": "U8"}"#, "it has the field `dtype` twice"),
        (r#"{"data_offsets": [0, 0, 0]}"#, "it has 3 offsets, not 2"),
        (r#"{"data_offsets": [0, 1.5]}"#, "has `.` where `,` or `]` should be"),
        (r#"{"shape": [-1]}"#, "has `-` where a whole number should be"),
    ] {
        let error = fact(&format!(r#"{{"a": {info}}}"#));
        assert!(error.contains(&format!("says of `a`: {says}")), "{error}");
    }
    let deep = format!("{{\"a\": {{\"dtype\": \"U8\", \"shape\": [{}0]}}}}", "0,".repeat(1 << 20));
    assert!(fact(&deep).contains("more than 16 dimensions"));
    let many: Vec<String> =
        (0..57_345).map(|at| entry(&at.to_string(), "U8", "[0]", "[0,0]")).collect();
    assert!(fact(&format!("{{{}}}", many.join(","))).contains("has more than 57344 tensors"));
    let escaped: Vec<String> =
        (0..4097).map(|at| entry(&format!(r"\n{at}"), "U8", "[0]", "[0,0]")).collect();
    let error = fact(&format!("{{{}}}", escaped.join(",")));
    assert!(error.contains("has more than 4096 names with an escape"), "{error}");
    assert_eq!(read(&format!("{{{}}}", escaped[1..].join(",")), 0), Ok(4096));
    let texts: Vec<String> = (0..57_345).map(|at| format!(r#""{at}": """#)).collect();
    let described = format!(r#"{{"__metadata__": {{{}}}}}"#, texts.join(","));
    assert!(fact(&described).contains("has more than 57344 keys of `__metadata__`"));
    let error = tensors(b"{\"\xFF\": 1}", 100).expect_err("refused").to_string();
    assert!(error.starts_with("byte 10: the header is not UTF-8 text"), "{error}");
}

#[test]
fn an_entry_without_end_is_given_up_and_what_is_passed_over_is_not() {
    let long = |byte: &str| byte.repeat(3 << 20);
    let says = "has more than 1048576 bytes in one entry, the most that are read";
    for (before, byte, after) in [
        (r#"{"a""#, " ", ": {}}"),
        (r#"{""#, "a", r#"": {}}"#),
        (r#"{"a": {"dtype": ""#, "U", r#""}}"#),
        (r#"{"a": {"shape": ["#, "1", "]}}"),
        (r#"{"__metadata__": {""#, "a", r#"": ""}}"#),
    ] {
        let error = read(&format!("{before}{}{after}", long(byte)), 0).expect_err("refused");
        assert!(error.contains(says) && error.ends_with("give the config.json alone"), "{error}");
    }
    for text in [
        format!("{}{{{}}}", long("\n"), long(" ")),
        format!(r#"{{"__metadata__": {{"a": "{}", "b": ""}}}}{}"#, long("x"), long("\t")),
    ] {
        assert_eq!(read(&text, 0), Ok(0));
    }
    let (text, space) = (long("x"), long(" "));
    let index = format!(
        r#"{space}{{{space}"metadata": [{space}"{text}"{space}], "weight_map": {{"a": "b",{space}"c": "b"}}{space}}}"#
    );
    let index = index.as_str();
    let names = |index: Index<'_>| index.names("b").map(|names| names.count());
    assert_eq!(Index::parse(&index).map(names), Ok(Some(2)));
}

#[test]
fn lengths_that_no_header_has() {
    let length =
        |length: u64, file| header_length(&length.to_le_bytes(), file).map_err(|e| e.to_string());
    assert_eq!(length(2, 10), Ok(2));
    assert!(
        length(3, 10)
            .is_err_and(|error| error.contains("the header has 3 bytes, the whole file 10"))
    );
    assert!(length(u64::MAX, 10).is_err_and(|error| error.contains("the format allows 100000000")));
    assert!(
        length(90_000_000, u64::MAX).is_err_and(|error| error.contains("the longest that is read"))
    );
    assert!(header_length(&[1, 2], 2).is_err());
}

#[test]
fn an_index_of_the_most_files_is_in_their_order_and_one_of_more_is_refused() {
    // Each file comes up again after all others have.
    let parse = |files: usize| {
        let map: Vec<String> =
            (0..2 * files).map(|at| format!(r#""{at}": "{:04}""#, at % files)).collect();
        let text = format!(r#"{{"weight_map": {{{}}}}}"#, map.join(","));
        let text = text.as_str();
        let index = Index::parse(&text).map_err(|error| error.to_string())?;
        // `7` and `1031`.
        let names = index.names("0007").map(|names| (names.count(), names.bytes()));
        Ok((index.first_tensor("0007"), names, index.files().is_sorted(), index.files().count()))
    };
    assert_eq!(parse(1024), Ok((Some("7".to_owned()), Some((2, 5)), true, 1024)));
    assert!(parse(1025).is_err_and(|error: String| error.contains("has more than 1024 files")));
}

#[test]
fn an_index_with_much_beside_its_map_is_refused() {
    let parse = |values: usize| {
        let values = vec!["0"; values].join(",");
        let text = format!(r#"{{"metadata": [{values}], "weight_map": {{"a": "b"}}}}"#);
        Index::parse(&text.as_str()).map(drop).map_err(|error| error.to_string())
    };
    // The list itself is one.
    assert_eq!(parse(4095), Ok(()));
    let error = parse(4096).expect_err("refused");
    assert!(error.contains("has more than 4096 values of other keys, the most that are read"));
    assert!(error.ends_with("give the config.json alone"), "{error}");
}

#[test]
fn an_index_and_its_files_agree() {
    let text = r#"{"metadata": {"total_size": 4}, "weight_map": {"a": "1", "b": "2"}}"#;
    let index = Index::parse(&text).expect("an index");
    let json = format!("{{{}}}", entry("a", "U8", "[0]", "[0, 0]"));
    let a = tensors(json.as_bytes(), 8 + json.len() as u64).expect("tensors");
    assert_eq!(index.check("1", &a), Ok(()));
    let says = |file, tensors: &[_]| index.check(file, tensors).expect_err("refused").to_string();
    assert_eq!(says("2", &a), "tensor `a`: is in the file, but the index has it in `1`");
    assert_eq!(says("1", &[]), "tensor `a`: is in the index, but not in the file");
    let twice = r#"{"weight_map": {"a": "b"}, "weight_map": {"a": "b"}}"#;
    let escape = r#"{"weight_map": {"a": "\ud800"}}"#;
    for none in
        ["", "{}", "[]", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 1}}"#, twice, escape]
    {
        assert!(Index::parse(&none).is_err(), "{none}");
    }
    let number = r#"{"weight_map": {"a": 1}}"#;
    let error = Index::parse(&number).expect_err("a number").to_string();
    assert!(error.starts_with("byte 21: the index has `1` where a text should be"), "{error}");
    for file in ["../x", "/etc/passwd", "", "..", "a/b", "C:x"] {
        let text = serde_json::json!({"weight_map": {"a": file}}).to_string();
        assert!(Index::parse(&text.as_str()).is_err(), "{file}");
    }
}

#[test]
fn names_in_an_index_may_be_escaped() {
    let text = r#"{"weight_map": {"\u0061": "\u0031", "b": "1", "c\ud800": "1"}}"#;
    let index = Index::parse(&text).expect("an index");
    assert_eq!(index.files().collect::<Vec<_>>(), ["1"]);
    let mut check = index.check_file("1");
    // What its escapes do not say stands as it is.
    for name in ["a", "b", r"c\ud800"] {
        assert_eq!(check.tensor(name), Ok(()));
    }
    assert_eq!(check.done(), Ok(()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), file in any::<u64>()) {
        let _ = tensors(&bytes, file);
        let _ = header_length(&bytes, file);
        let _ = Index::parse(&bytes.as_slice());
    }

    #[test]
    fn tensors_side_by_side_are_read_whatever_their_order(
        shapes in prop::collection::vec(prop::collection::vec(0_u64..9, 0..4), 0..9),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut from = 0;
        let mut entries: Vec<String> = shapes.iter().enumerate().map(|(at, shape)| {
            let to = from + 2 * shape.iter().product::<u64>();
            let entry = entry(&at.to_string(), "F16", &format!("{shape:?}"), &format!("[{from}, {to}]"));
            from = to;
            entry
        }).collect();
        if !entries.is_empty() {
            let at = turn.index(entries.len());
            entries.rotate_left(at);
        }
        prop_assert_eq!(read(&format!("{{{}}}", entries.join(", ")), from), Ok(shapes.len()));
    }
}
