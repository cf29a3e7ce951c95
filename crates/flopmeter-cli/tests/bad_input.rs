//! Bad input gets one line with place, fact and hint on standard error, exit code 1 (2 for wrong usage),
//! nothing on standard output; soon, in little memory, and without a command to the terminal.

mod run;

use run::{LLAMA, Place, Run};
use serde_json::{Value, json};
use std::time::Duration;

/// A second is the promise; a debug build on a busy machine gets some more.
const SOON: Duration = Duration::from_secs(5);

/// A failure with this message, and no candidates.
#[track_caller]
fn fails(run: Run, message: &str) {
    harmless(&run);
    let (said, candidates) = run.failure();
    assert_eq!(said, message);
    assert!(candidates.is_empty(), "{candidates:?}");
}

/// What holds for every run: it ends soon, prints nothing that a terminal obeys, and does not panic.
#[track_caller]
fn harmless(run: &Run) {
    assert!(run.taken < SOON, "took {:?}", run.taken);
    for text in [&run.out, &run.err] {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

/// An estimate of [`LLAMA`] with some keys changed, null for one that is taken out.
#[track_caller]
fn with(changes: Value) -> Run {
    let mut config: Value = serde_json::from_str(LLAMA).expect("JSON");
    let object = config.as_object_mut().expect("an object");
    for (key, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(object.remove(key)),
            value => drop(object.insert(key.clone(), value.clone())),
        }
    }
    let place = Place::new();
    place.put("c.json", config.to_string());
    place.run("estimate c.json -p 10")
}

/// An estimate of a config.json of these bytes.
fn of(bytes: impl AsRef<[u8]>) -> Run {
    let place = Place::new();
    place.put("c.json", bytes);
    place.run("estimate c.json -p 10")
}

#[test]
fn keys_that_are_missing() {
    for key in [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "vocab_size",
    ] {
        let hint = "a config of type `llama` states it";
        fails(with(json!({ key: null })), &format!("c.json: `{key}`: is missing; {hint}"));
    }
    fails(
        with(json!({"model_type": null})),
        "c.json: `model_type`: is missing; give the whole config.json; it states the model's type",
    );
    fails(
        of("{}"),
        "c.json: `model_type`: is missing; give the whole config.json; it states the model's type",
    );
}

#[test]
fn sizes_that_are_none() {
    let cases = [
        (json!(0), "is 0, which is no size"),
        (json!(-64), "is -64, not a whole number above zero"),
        (json!(64.5), "is 64.5, not a whole number above zero"),
        (json!(16_777_217), "is 16777217; the largest size that is believed is 16777216"),
        (json!(u64::MAX), "is 18446744073709551615; the largest size that is believed is 16777216"),
        (json!(1e22), "is 1e+22; the largest size that is believed is 16777216"),
        (json!("64"), "is the text \"64\", not a whole number"),
        (json!(true), "is true, not a whole number"),
        (json!([64]), "is a list, not a whole number"),
        (json!({"size": 64}), "is an object, not a whole number"),
    ];
    for (value, fact) in cases {
        for key in ["hidden_size", "vocab_size", "num_key_value_heads"] {
            let hint = "a size is a whole number from 1 to 16777216";
            fails(with(json!({ key: value })), &format!("c.json: `{key}`: {fact}; {hint}"));
        }
    }
    fails(
        with(json!({"hidden_size": 4096.0})),
        "c.json: `hidden_size`: is 4096.0; a size is written without a fraction; write 4096",
    );
    fails(
        with(json!({"num_hidden_layers": 100_000})),
        "c.json: `num_hidden_layers`: is 100000; the most that is believed is 4096",
    );
}

#[test]
fn keys_that_contradict_each_other() {
    fails(
        with(json!({"num_key_value_heads": 3})),
        "c.json: `num_key_value_heads`: 4 query heads cannot share 3 key/value heads evenly; check \
         `num_attention_heads`",
    );
    fails(
        with(json!({"num_attention_heads": 6})),
        "c.json: `num_attention_heads`: 6 heads do not divide the width 64 evenly; give `head_dim` if the \
         heads are not the width's share",
    );
    fails(
        with(json!({"num_attention_heads": 4, "n_head": 8})),
        "c.json: `num_attention_heads`: is 4, but `n_head`, another name of it, is 8",
    );
    let qwen = json!({"model_type": "qwen3", "head_dim": 16, "use_sliding_window": true,
        "sliding_window": 8, "layer_types": vec!["full_attention"; 3]});
    fails(with(qwen), "c.json: `layer_types`: has 3 entries for 2 layers");
}

#[test]
fn a_key_that_is_there_twice() {
    let run = of(LLAMA.replace('}', r#", "hidden_size": 128}"#));
    let (message, _) = run.failure();
    assert!(
        message.ends_with(
            "has `hidden_size` a second time, with another value; is it the config.json that the model was published \
             with?"
        ),
        "{message}"
    );
    // The same value twice contradicts nothing.
    of(LLAMA.replace('}', r#", "hidden_size": 64}"#)).ok();
}

#[test]
fn types_that_are_not_counted() {
    fails(
        with(json!({"model_type": "lama"})),
        "c.json: `model_type`: \"lama\" is not counted yet; the nearest that is: \"llama\"; or give the model's \
         weights: their shapes would do",
    );
    fails(with(json!({"model_type": 5})), "c.json: `model_type`: is 5, not a text");
    let (message, _) = with(json!({"model_type": "x".repeat(1_000_000)})).failure();
    assert!(message.len() < 300, "{message}");
}

#[test]
fn dtypes_and_quantisations_that_are_not_known() {
    let (message, _) = with(json!({"torch_dtype": "bfloat17"})).failure();
    assert!(
        message.starts_with("c.json: `torch_dtype`: `bfloat17`: is not a dtype; known: "),
        "{message}"
    );
    let (message, _) = with(json!({"quantization_config": {"quant_method": "magic"}})).failure();
    assert!(
        message.starts_with("c.json: `quantization_config.quant_method`: is \"magic\""),
        "{message}"
    );
    let (message, _) =
        with(json!({"quantization_config": {"quant_method": "gptq", "bits": 5}})).failure();
    assert!(message.starts_with("c.json: `quantization_config.bits`: is 5"), "{message}");
}

#[test]
fn text_that_is_no_config() {
    let (give, mend) =
        ("give the model's config.json", "mend it there, or fetch the model's config.json again");
    let cut = "it is cut off: fetch the model's config.json again";
    for (text, place, fact, hint) in [
        ("", "config", "is empty", give),
        (" \n\t ", "config", "is empty", give),
        ("hello", "line 1, column 1", "is not JSON: expected value", mend),
        ("{\"a\": 1", "line 1, column 7", "is not JSON: EOF while parsing an object", cut),
        ("{'a': 1}", "line 1, column 2", "is not JSON: key must be a string", mend),
        ("{\"a\": +1}", "line 1, column 7", "is not JSON: expected value", mend),
        ("{\"a\": 1e999}", "line 1, column 11", "is not JSON: number out of range", mend),
        ("{} {}", "line 1, column 4", "is not JSON: trailing characters", mend),
        ("[]", "config", "is a list, not an object", give),
        ("null", "config", "is null, not an object", give),
        ("12", "config", "is 12, not an object", give),
        ("\"llama\"", "config", "is the text \"llama\", not an object", give),
    ] {
        fails(of(text), &format!("c.json: {place}: {fact}; {hint}"));
    }
}

#[test]
fn numbers_that_are_none() {
    // As Python writes them: harmless where nobody reads them.
    let config =
        |key: &str, value: &str| LLAMA.replacen('{', &format!("{{\"{key}\": {value}, "), 1);
    let counted = of(config("time_step_limit", "[0.0, Infinity]"));
    assert!(counted.err.is_empty() && !counted.out.is_empty(), "{}", counted.err);
    fails(
        of(config("head_dim", "NaN")),
        "c.json: `head_dim`: is the text \"NaN\", not a whole number; a size is a whole number from 1 to 16777216",
    );
}

#[test]
fn text_in_other_encodings() {
    // Notepad's UTF-16, with its mark, either way round.
    let utf_16: Vec<u16> = LLAMA.encode_utf16().collect();
    let little: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(utf_16.iter().flat_map(|it| it.to_le_bytes())).collect();
    let big: Vec<u8> =
        [0xFE, 0xFF].into_iter().chain(utf_16.iter().flat_map(|it| it.to_be_bytes())).collect();
    for bytes in [little, big] {
        fails(of(bytes), "c.json: byte 0: is not UTF-8 text; it is UTF-16; save it as UTF-8");
    }
    fails(
        of(b"{\"a\": \"\xE9\"}"),
        "c.json: byte 7: is not UTF-8 text; give the model's config.json",
    );
    // UTF-8 with a mark is UTF-8.
    of(format!("\u{feff}{LLAMA}")).ok();
}

#[test]
fn json_that_is_too_deep_or_too_long() {
    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let (message, _) = in_little_memory(deep).failure();
        assert!(message.contains("is not JSON: recursion limit exceeded; mend"), "{message}");
    }
    let (message, _) =
        in_little_memory(format!("{{\"a\": [{}1]}}", "1,".repeat(3_000_000))).failure();
    assert!(
        message.contains("has more than 98304 values, the most that are read; is it"),
        "{message}"
    );
    // 100 MB, of which nothing is read.
    let (message, _) = in_little_memory(" ".repeat(100_000_000)).failure();
    assert_eq!(
        message,
        "c.json: is 100000000 bytes long; the longest config that is read is 6291456; give a config.json, \
         not weights or a tokenizer"
    );
    let (message, _) =
        in_little_memory(format!("{{\"a\": \"{}\"}}", "x".repeat(6_000_000))).failure();
    assert!(message.starts_with("c.json: `model_type`: is missing"), "{message}");
}

/// An estimate in 128 MB of address space, where a limit can be set.
fn in_little_memory(text: String) -> Run {
    let place = Place::new();
    place.put("c.json", text);
    let run = if cfg!(target_os = "linux") {
        let flopmeter = place.command();
        let mut shell = std::process::Command::new("sh");
        let line = "ulimit -v 131072 && exec \"$0\" estimate c.json -p 10";
        Run::of(shell.args(["-c", line]).arg(flopmeter.get_program()).current_dir(place.path()))
    } else {
        place.run("estimate c.json -p 10")
    };
    harmless(&run);
    run
}

#[test]
fn what_is_no_config_file() {
    let place = Place::with_llama();
    let hint = "give a config.json, a folder that holds one, or a model's name";
    std::fs::create_dir(place.path().join("empty")).expect("a folder");
    fails(place.run("estimate empty -p 10"), &format!("empty/config.json: does not exist; {hint}"));
    fails(place.run("estimate ./nope.json -p 1"), &format!("./nope.json: does not exist; {hint}"));
    fails(
        place.run("estimate nope/config.json -p 1"),
        &format!("nope/config.json: does not exist; {hint}"),
    );
    for name in ["w.BIN", "w.pt"] {
        place.put(name, "GGUF");
        fails(
            place.run(&format!("estimate {name} -p 1")),
            &format!(
                "{name}: holds weights, which are not read yet; give the config.json beside it"
            ),
        );
    }
    // A folder in the place of the file.
    std::fs::create_dir_all(place.path().join("odd/config.json")).expect("a folder");
    fails(place.run("estimate odd -p 1"), "odd/config.json: is not a file; give a config.json");
    fails(place.run_args(["estimate", "", "-p", "1"]), &format!("MODEL: is empty; {hint}"));
    let (message, _) = place.run_args(["estimate", &"a".repeat(100_000), "-p", "1"]).failure();
    assert!(message.contains("is no model that is built in; nearest: "), "{message}");
    assert!(message.len() < 400, "{message}");
}

#[cfg(unix)]
#[test]
fn devices_pipes_loops_and_locked_files() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::process::CommandExt;

    let place = Place::new();
    let path = |name: &str| place.path().join(name);
    for special in ["/dev/zero", "/dev/null", "/dev/tty"] {
        if std::path::Path::new(special).exists() {
            fails(
                place.run(&format!("estimate {special} -p 1")),
                &format!("{special}: is not a file; give a config.json"),
            );
        }
    }
    // A pipe that nobody writes to: opening it would wait for ever.
    let made = std::process::Command::new("mkfifo").arg(path("pipe.json")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    fails(place.run("estimate pipe.json -p 1"), "pipe.json: is not a file; give a config.json");
    std::fs::create_dir(path("folder")).expect("a folder");
    symlink(path("pipe.json"), path("folder/config.json")).expect("a link");
    fails(
        place.run("estimate folder -p 1"),
        "folder/config.json: is not a file; give a config.json",
    );

    symlink(path("loop.json"), path("loop.json")).expect("a link");
    let (message, _) = place.run("estimate loop.json -p 1").failure();
    assert!(message.starts_with("loop.json: cannot be read: "), "{message}");
    symlink(".", path("round")).expect("a link");
    let (message, _) = place.run("estimate round/round/round/ -p 1").failure();
    assert!(message.contains("config.json: does not exist"), "{message}");

    let locked = place.put("locked.json", LLAMA);
    std::fs::set_permissions(&locked, PermissionsExt::from_mode(0o000)).expect("a mode");
    let mut command = place.command();
    command.args(["estimate", "locked.json", "-p", "1"]);
    if std::fs::read(&locked).is_ok() {
        // Root reads everything, so somebody else has to ask.
        std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).expect("a mode");
        command.uid(65534).gid(65534);
        if let Err(error) = command.output() {
            eprintln!("skipped: nobody else can run the command here: {error}");
            return;
        }
    }
    fails(
        Run::of(&mut command),
        "locked.json: may not be read; give a config.json, a folder that holds one, or a model's name",
    );
}

#[test]
fn requests_that_contradict_themselves() {
    let place = Place::with_llama();
    for (line, message) in [
        (
            "-p 10 --cached 11",
            "cached: is 11, more than the prompt's 10 tokens; the prompt counts every token, cached ones \
             included",
        ),
        ("-p 10 --batch 0", "batch: is 0; a batch has at least one sequence"),
        ("--sequences 10:1,5:5 --batch 0", "batch: is 0; a batch has at least one sequence"),
        (
            "-p 10 --cached 3 --no-kv-cache",
            "cached: is 3, but there is no KV cache; leave one of the two out",
        ),
        (
            "-p 18446744073709551615",
            "count: does not fit 128 bits; check the sizes of the config and of the request",
        ),
        (
            "-p 18446744073709551615 -g 18446744073709551615 --no-kv-cache",
            "count: does not fit 128 bits; check the sizes of the config and of the request",
        ),
        (
            "-p 18446744073709551615 --batch 18446744073709551615",
            "count: does not fit 128 bits; check the sizes of the config and of the request",
        ),
    ] {
        for command in ["estimate", "explain"] {
            fails(place.run(&format!("{command} llama.json {line}")), message);
        }
    }
    // Large, and yet a number.
    place.run("estimate llama.json -p 1000000000000 --batch 1000000").ok();
    place.run("estimate llama.json -p 0 -g 0").ok();
}

#[test]
fn measurements_that_are_none() {
    let place = Place::with_llama();
    let hint = "it must be a number above zero";
    let run = |line: &str| place.run(&format!("mfu llama.json -p 10 {line}"));
    for (time, shown) in [
        ("0", "0"),
        ("-1", "-1"),
        ("-1ms", "-0.001"),
        ("nan", "NaN"),
        ("inf", "inf"),
        ("1e999", "inf"),
        ("-0", "-0"),
    ] {
        fails(
            run(&format!("--peak bf16=1e12 --time {time}")),
            &format!("time: is {shown}; {hint}"),
        );
    }
    for (peak, shown) in [("0", "0"), ("-1e12", "-1000000000000"), ("nan", "NaN"), ("inf", "inf")] {
        fails(
            run(&format!("--time 1 --peak bf16={peak}")),
            &format!("peak of bf16: is {shown} FLOP/s; {hint}"),
        );
        // A figure that is not used has to be one all the same.
        let device = "--device nvidia-l4-24gb";
        fails(
            run(&format!("--time 1 {device} --peak fp8={peak}")),
            &format!("peak of fp8: is {shown} FLOP/s; {hint}"),
        );
        fails(
            run(&format!("--time 1 {device} --bandwidth {peak}")),
            &format!("bandwidth: is {shown} B/s; {hint}"),
        );
    }
    fails(
        run("--time 1 --peak bf16=1e12,bf16=2e12"),
        "peak of bf16: is given twice; give one figure",
    );
    fails(
        run("--time 1 --peak bf16=1e12 --devices 0"),
        "devices: is 0; work needs at least one device",
    );
    let beyond = "utilization: does not fit a 64-bit float; check the time, the peak, the bandwidth and the \
                  number of devices";
    fails(run("--time 1e-320 --peak bf16=1e12"), beyond);
    fails(run("--time 1 --peak bf16=1e300 --devices 18446744073709551615"), beyond);
    fails(run("--time 1 --peak bf16=1e12 --bandwidth 1e-320"), beyond);
}

#[test]
fn devices_that_do_not_have_what_is_asked() {
    let place = Place::with_llama();
    let run = |device: &str, more: &str| {
        let line = ["mfu", "llama.json", "-p", "10", "--time", "1", "--device", device];
        place.run_args(line.into_iter().chain(more.split_whitespace()))
    };
    fails(
        run("Tesla T4", ""),
        "`nvidia-t4-16gb`: no bf16 peak is known; it has one for fp64, fp32, fp16, int8; choose the dtype that \
         the products ran in with --dtype",
    );
    fails(
        run("NVIDIA A100-SXM4-80GB", "--dtype fp8"),
        "`nvidia-a100-sxm-80gb`: no fp8 peak is known; it has one for fp64, fp32, tf32, fp16, bf16, int8; \
         choose the dtype that the products ran in with --dtype",
    );
    let (message, candidates) = run("H100", "").failure();
    assert!(message.starts_with("`H100`: "), "{message}");
    assert!(candidates.len() > 2, "{candidates:?}");
    for name in
        ["", " ", "GPU", "NVIDIA", "NVIDIA L40S-48Q", "not a GPU", "🦀", &"H100 ".repeat(10_000)]
    {
        let run = run(name, "");
        harmless(&run);
        let (message, _) = run.failure();
        assert!(message.len() < 1000 && message.starts_with('`'), "{message}");
    }
    // A bandwidth alone is no peak.
    fails(
        place.run("estimate llama.json -p 10 --bandwidth 3e12"),
        "`custom`: no bf16 peak is known; no peak of it is confirmed; give one yourself: `--peak bf16=989.5e12`; \
         choose the dtype that the products ran in with --dtype",
    );
}

#[test]
fn names_that_nobody_has() {
    let place = Place::new();
    fails(
        place.run("estimate lama3.1:8b -p 10"),
        "`lama3.1:8b`: is no model that is built in; nearest: llama3.1:8b, llama3:8b, llama3.1:70b; or give the \
         path of its config.json",
    );
    let (message, _) = place.run("models meta-llama/Llama-9-8B").failure();
    assert!(message.contains("nearest: meta-llama/"), "{message}");
}

#[test]
fn arguments_that_are_wrong() {
    let place = Place::with_llama();
    for (line, part) in [
        ("-p -5", "'-5' for '--prompt <N>': not a whole number such as 1024"),
        ("-p 1.5", "'1.5' for '--prompt <N>': not a whole number such as 1024"),
        ("-p 1e3", "'1e3' for '--prompt <N>': not a whole number such as 1024"),
        ("-p ten", "'ten' for '--prompt <N>': not a whole number such as 1024"),
        ("-p 18446744073709551616", "'--prompt <N>': more than 18446744073709551615"),
        ("-p 1 -g -1", "'-1' for '--generate <N>': not a whole number"),
        ("-p 1 --batch -1", "'-1' for '--batch <N>': not a whole number"),
        ("-p 1 --cached x", "'x' for '--cached <N>': not a whole number"),
        ("-p 1 --devices -1 --peak bf16=1", "'-1' for '--devices <N>': not a whole number"),
        ("-p 1 --dtype bf17", "'bf17' for '--dtype <D>'"),
        ("-p 1 --kv-dtype q4", "'q4' for '--kv-dtype <D>'"),
        ("-p 1 --convention 6nd", "[possible values: model, torch, 2pt"),
        ("-p 1 --peak 989e12", "not DTYPE=FLOPS such as bf16=989.5e12"),
        ("-p 1 --peak bf16=fast", "`fast` is not a number such as 989.5e12"),
        ("-p 1 --peak b16=1e12", "`b16`: is not a dtype"),
        (
            "-p 1 --peak bf16=1e12 --bandwidth wide",
            "'wide' for '--bandwidth <BYTES>': not a number",
        ),
        ("--sequences 10", "not PROMPT:GENERATE, two whole numbers such as 1024:256"),
        ("--sequences 10:3:2", "not PROMPT:GENERATE"),
        ("--sequences 10:-3", "not PROMPT:GENERATE"),
        ("--sequences 10:3,", "not PROMPT:GENERATE"),
        ("--sequences ,", "not PROMPT:GENERATE"),
        ("--sequences 10:3 --cached 1", "cannot be used with"),
        ("--sequences 10:3 --generate 1", "cannot be used with"),
        ("-p 1 extra", "unexpected argument 'extra'"),
    ] {
        let run = place.run(&format!("estimate llama.json {line}"));
        harmless(&run);
        let said = run.usage();
        assert!(said.contains(part), "{line}: {said}");
    }
    for (time, part) in [
        ("fast", "'fast' for '--time <TIME>': not a time such as 2.1s or 350ms"),
        ("1h", "not a time"),
        ("ms", "not a time"),
    ] {
        let said =
            place.run(&format!("mfu llama.json -p 1 --peak bf16=1e12 --time {time}")).usage();
        assert!(said.contains(part), "{time}: {said}");
    }
}

/// An attempt to colour, to clear the screen, to ring, to reverse what follows, and to begin a line.
const COMMANDS: &str = "\u{1b}[31m\u{9b}2J\u{7}\u{202e}\r\nx";

#[test]
fn no_name_reaches_the_terminal_as_a_command() {
    let place = Place::new();
    let clean = |run: Run| {
        for text in [&run.out, &run.err] {
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(obeyed), "{text:?}");
        }
        run
    };
    // In the arguments.
    for line in [
        vec!["estimate", COMMANDS, "-p", "1"],
        vec!["estimate", "gpt2", "-p", COMMANDS],
        vec!["estimate", "gpt2", "-p", "1", "--dtype", COMMANDS],
        vec!["estimate", "gpt2", "-p", "1", "--device", COMMANDS],
        vec!["estimate", "gpt2", "-p", "1", "--peak", COMMANDS],
        vec!["devices", COMMANDS],
        vec!["models", COMMANDS],
        vec![COMMANDS],
    ] {
        // Also where colour is wanted, and nothing is stripped.
        for forced in ["0", "1"] {
            let mut command = place.command();
            let run = Run::of(command.args(&line).env("CLICOLOR_FORCE", forced));
            let own = |text: &str| {
                ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[4m"]
                    .iter()
                    .fold(text.to_owned(), |text, style| text.replace(style, ""))
            };
            assert_ne!(run.code, Some(0), "{line:?}");
            assert!(run.err.contains("error"), "{run:?}");
            // The word `error` may be red; the argument's own red has to be an escape.
            let run = Run { err: own(&run.err), ..run };
            assert!(run.err.contains(r"\u{1b}[31m"), "{line:?}: {run:?}");
            clean(run);
        }
    }
    // In a key, in the name of a file, and in the name of a group.
    let mut config: Value = serde_json::from_str(LLAMA).expect("JSON");
    config[format!("{COMMANDS}_size")] = json!(5);
    if cfg!(unix) {
        let name = format!("{COMMANDS}.json");
        place.put(&name, config.to_string());
        for format in ["table", "json", "csv", "markdown"] {
            for command in ["estimate", "explain"] {
                let mut run = place.command();
                run.args([command, &name, "-p", "1", "--format", format]);
                clean(Run::of(&mut run)).ok();
                let run = Run::of(run.env("CLICOLOR_FORCE", "1"));
                let plain = run.out.replace("\u{1b}[0m", "").replace("\u{1b}[1m", "");
                clean(Run { out: plain, ..run }).ok();
            }
        }
        place.put(&name, "{");
        clean(place.run_args(["estimate", &name, "-p", "1"])).failure();
    }
    config["quantization_config"] = json!({
        "quant_method": "compressed-tensors", "config_groups": {COMMANDS: {"weights": {"num_bits": 5}}}
    });
    place.put("c.json", config.to_string());
    clean(place.run("estimate c.json -p 1")).failure();
}

#[test]
fn a_flood_of_strange_keys_is_told_in_a_line() {
    let mut config: Value = serde_json::from_str(LLAMA).expect("JSON");
    for at in 0..10_000 {
        config[format!("{at}_{}_size", "x".repeat(500))] = json!(5);
    }
    let place = Place::new();
    place.put("c.json", config.to_string());
    let run = place.run("estimate c.json -p 1");
    harmless(&run);
    let out = run.ok();
    let note = out.lines().find(|line| line.contains("not read")).expect("a note");
    assert!(note.ends_with(" and more") && note.len() < 6000, "{note}");
}
