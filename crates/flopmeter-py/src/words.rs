//! What the command says, said to who writes Python.

/// What Python has for what the command has, as errors and notes of both name it: the longer before what it begins with.
const IN_PYTHON: &[(&str, &str)] = &[
    (
        "`--peak bf16=989.5e12 --bandwidth 3.35e12`",
        r#"`Device.custom({"bf16": 989.5e12}, 3.35e12)`"#,
    ),
    ("`--peak bf16=989.5e12`", r#"`Device.custom({"bf16": 989.5e12})`"#),
    ("`--bandwidth 3.35e12`", r#"`Device.custom({"bf16": 989.5e12}, 3.35e12)`"#),
    ("`flopmeter conventions`", "`flopmeter.conventions()`"),
    ("`flopmeter devices`", "`flopmeter.devices()`"),
    ("`flopmeter train`", "`Model.train_step`"),
    ("is printed with --all; JSON and CSV always have it", "is in `rows`"),
    ("--accumulate", "`accumulate`"),
    ("--adapter", "`adapter`"),
    ("--bandwidth", "`bandwidth`"),
    ("--devices", "`devices`"),
    ("--device", "`device`"),
    ("--draft", "`draft`"),
    ("--dtype", "`dtype`"),
    ("--ep", "`ep`"),
    ("--etp", "`etp`"),
    ("--kv-dtype", "`kv_dtype`"),
    ("--merged", "`merged`"),
    ("--mtp", "`mtp`"),
    ("--peak", "`peak`"),
];

/// A text of the core's, with Python's names in it.
pub fn in_python(text: &str) -> String {
    IN_PYTHON.iter().fold(text.to_owned(), |text, (command, python)| text.replace(command, python))
}
