//! Whole sessions, as somebody sees them. `INSTA_UPDATE=always` rewrites the snapshots; a new number in
//! one is accepted only with its arithmetic.
//!
//! The numbers are those of the small llama in `run/mod.rs`, for 10 tokens of prompt and 3 generated:
//!
//! ```text
//! tokens fed            10 in prefill, 2 in decode (the third is never fed back); heads run 1 + 2 times
//! pairs                 1 + … + 10 = 55; 11 + 12 = 23
//! attention.projections 2·12,288·2 layers a token = 49,152     · 10 = 491,520   · 2 =  98,304   sum 589,824
//! attention.scores      2·4·16·2 layers a pair = 256           · 55 =  14,080   · 23 =  5,888   sum  19,968
//! attention.values      the same
//! mlp                   2·18,432·2 layers a token = 73,728     · 10 = 737,280   · 2 = 147,456   sum 884,736
//! head                  2·64·100 = 12,800                      · 1  =  12,800   · 2 =  25,600   sum  38,400
//! total                                                          1,269,760        283,136     1,552,896
//! share                 589,824 ÷ 1,552,896 = 38.0 %, 1.3 %, 1.3 %, 57.0 %, 2.5 %
//!
//! weights               2·74,560 = 149,120 bytes; of them a pass reads all but the embedding's 12,800: 136,320
//! KV cache              2 layers · 2 heads · (16 + 16) · 2 bytes = 256 a token, of 12 tokens 3,072
//! read, prefill         136,320 + 10 rows of 128 + 10 positions of 256 = 140,160
//! read, decode          2·136,320 + 2 rows of 128 + (11 + 12) positions of 256 = 278,784
//! written               12 · 256 = 3,072
//!
//! in 1 ms at 1e12 FLOP/s and 1e11 B/s: possible 1e9 FLOP and 1e8 B
//! MFU                   1,552,896 ÷ 1e9 = 0.16 %          MBU (418,944 + 3,072) ÷ 1e8 = 0.42 %
//! ideal prefill         max(1.270 µs of FLOPs, 142,720 B ÷ 1e11 = 1.427 µs)
//! ideal decode          279,296 B ÷ 1e11 = 2.793 µs       together 4.220 µs, of 1 ms 0.42 %
//! memory                149,120 + 3,072 = 152,192 B
//! ```

mod run;

use insta::assert_snapshot;
use run::{Place, Run};
use std::process::{Command, Stdio};

const WORK: &str = "llama.json -p 10 -g 3";
const MEASURED: &str = "llama.json -p 10 -g 3 --time 1ms --peak bf16=1e12 --bandwidth 1e11";

/// A run as a terminal would show it, colours aside.
fn session(line: &str) -> String {
    shown(line, &Place::with_llama().run(line))
}

fn shown(line: &str, run: &Run) -> String {
    let mut text = format!("$ flopmeter {line}\n{}", run.out);
    if !run.err.is_empty() {
        text += &format!("[standard error]\n{}", run.err);
    }
    if run.code != Some(0) {
        text += &format!("[exit code {}]\n", run.code.unwrap_or(-1));
    }
    text
}

#[test]
fn estimate() {
    assert_snapshot!("estimate.table", session(&format!("estimate {WORK}")));
    assert_snapshot!("estimate.json", session(&format!("estimate {WORK} --format json")));
    assert_snapshot!("estimate.csv", session(&format!("estimate {WORK} --format csv")));
    assert_snapshot!("estimate.markdown", session(&format!("estimate {WORK} --format markdown")));
}

#[test]
fn utilization() {
    assert_snapshot!("utilization.table", session(&format!("utilization {MEASURED}")));
    assert_snapshot!("utilization.json", session(&format!("utilization {MEASURED} --format json")));
    assert_snapshot!("utilization.csv", session(&format!("utilization {MEASURED} --format csv")));
    assert_snapshot!(
        "utilization.markdown",
        session(&format!("utilization {MEASURED} --format markdown"))
    );
}

/// Each line's result is the product beside it; those of the components sum as above.
#[test]
fn explain() {
    assert_snapshot!("explain.table", session(&format!("explain {MEASURED}")));
    assert_snapshot!("explain.csv", session(&format!("explain {WORK} --format csv")));
    assert_snapshot!("explain.markdown", session(&format!("explain {WORK} --format markdown")));
}

/// 2·P·T with P = 74,560: 10 tokens in prefill 1,491,200, 3 in decode 447,360, in all 1,938,560.
/// Without a KV cache P·13·14 = 13,569,920.
#[test]
fn the_other_conventions() {
    assert_snapshot!("estimate.2pt", session(&format!("estimate {WORK} --convention 2pt")));
    assert_snapshot!(
        "estimate.2pt.no-kv-cache",
        session(&format!("estimate {WORK} --convention 2pt --no-kv-cache"))
    );
    // Squares: 100 + 23 pairs; heads everywhere: 10 + 2.
    assert_snapshot!("estimate.torch", session(&format!("estimate {WORK} --convention torch")));
}

/// The sums of 10:3 (above) and 4:1 (4 tokens: 4·122,880 + 10 pairs·512 + 12,800 = 509,440).
#[test]
fn different_sequences() {
    assert_snapshot!("estimate.sequences", session("estimate llama.json --sequences 10:3,4:1"));
}

/// Parameters of one layer 12,288 + 18,432 + 128 = 30,848.
#[test]
fn models() {
    assert_snapshot!("models.table", session("models llama.json"));
    assert_snapshot!("models.markdown", session("models llama.json --format markdown"));
}

/// NVIDIA's L4 sheet: 242 TFLOP/s with sparsity, so 121 dense; 485 for FP8, so 242.5; 300 GB/s, 24 GB.
#[test]
fn devices() {
    assert_snapshot!("devices.table", session("devices L4"));
    assert_snapshot!("devices.json", session("devices L4 --format json"));
}

#[test]
fn failures() {
    let place = Place::with_llama();
    let sessions = [
        "estimate llama.json -p 10 --cached 11",
        "estimate nope.json -p 10",
        "estimate lama3.1:8b -p 10",
        "devices H100",
        "mfu llama.json -p 10 --time 0 --peak bf16=1e12",
        "mfu llama.json -p 10 --time 1",
        "estimate llama.json",
        "estimate llama.json -p many",
        "estimate llama.json -p 10 --images 640x480",
        "estimate llama.json -p 10 --images 0x5",
        "estimate llama.json -p 10 --images 5",
        "estimate llama.json -p 10 --audio 12.5",
        "estimate llama.json -p 10 --audio 3,nan",
        "estimate llama.json -p 10 --audio -1",
        "estimate llama.json -p 10 --audio 1e308",
        "estimat llama.json -p 1",
    ];
    let text = sessions.map(|line| shown(line, &place.run(line))).join("\n");
    assert_snapshot!("failures", text);
}

#[test]
fn help() {
    for command in [
        "",
        "estimate",
        "utilization",
        "train",
        "sweep",
        "plot",
        "audit",
        "explain",
        "models",
        "conventions",
        "devices",
        "completions",
    ] {
        let short = Place::new().run(&format!("{command} -h")).ok();
        let lines = short.lines().count();
        // A terminal of 80 columns and 40 lines, its prompt included.
        assert!(lines <= 39, "{command} -h has {lines} lines");
        let widest = short.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        // Usage and examples are for copying and are not wrapped.
        assert!(widest <= 100, "{command} -h is {widest} wide");
        assert!(
            command.is_empty() || short.contains("\n  flopmeter "),
            "{command} -h has no example"
        );
        let long = Place::new().run(&format!("{command} --help")).ok();
        assert!(long.lines().count() >= lines, "{command}");
        let name = if command.is_empty() { "flopmeter" } else { command };
        assert_snapshot!(format!("help.{name}"), short);
    }
}

/// The examples of the help work, those with files of one's own aside.
#[test]
fn examples_of_the_help_run() {
    let place = Place::with_llama();
    place.put("config.json", run::LLAMA);
    let mut examples = 0;
    for command in ["estimate", "utilization", "explain", "models", "devices", "completions"] {
        let help = place.run(&format!("{command} --help")).ok();
        for line in help.lines().filter_map(|line| line.strip_prefix("  flopmeter ")) {
            let line = line.split(" > ").next().unwrap_or(line);
            // As a shell cuts it: what is in quotes is one word.
            let words = line.split('"').enumerate().flat_map(|(at, part)| {
                let quoted = at % 2 == 1;
                let words: Vec<&str> =
                    if quoted { vec![part] } else { part.split_whitespace().collect() };
                words
            });
            let out = place.run_args(words).ok();
            assert!(!out.is_empty() && "  flopmeter ".len() + line.len() <= 80, "{line}");
            examples += 1;
        }
    }
    assert!(examples >= 12, "{examples} examples");
}

const ESCAPE: char = '\u{1b}';

#[test]
fn colour_is_for_terminals_and_never_the_only_signal() {
    let place = Place::with_llama();
    let run = |line: &str, variables: &[(&str, &str)]| {
        let mut command = place.command();
        command.args(line.split_whitespace()).envs(variables.iter().copied());
        Run::of(&mut command)
    };
    for line in
        [format!("mfu {MEASURED}"), "devices H100".into(), "estimate -h".into(), "nonsense".into()]
    {
        let piped = run(&line, &[]);
        assert!(!piped.out.contains(ESCAPE) && !piped.err.contains(ESCAPE), "{line}: {piped:?}");
        let forced = run(&line, &[("CLICOLOR_FORCE", "1")]);
        let said = [&forced.out, &forced.err].map(String::as_str).concat();
        assert!(said.contains(ESCAPE), "{line}: no colour though it is forced");
        // The same words in colour and without.
        let stripped = anstream::adapter::strip_str(&said).to_string();
        assert_eq!(stripped, [piped.out, piped.err].concat(), "{line}");
        let never = run(&line, &[("NO_COLOR", "1")]);
        assert!(!never.out.contains(ESCAPE) && !never.err.contains(ESCAPE), "{line}");
    }
    // Programs get none even where it is forced.
    for format in ["json", "csv", "markdown"] {
        let forced =
            run(&format!("mfu {MEASURED} --format {format}"), &[("CLICOLOR_FORCE", "1")]).ok();
        assert!(!forced.contains(ESCAPE), "{format}");
    }
}

/// Tables are not cut or folded for a terminal's width: what is piped would change with the window.
#[test]
fn a_narrow_terminal_changes_help_only() {
    let place = Place::with_llama();
    let at = |columns: &str, line: &str| {
        let mut command = place.command();
        Run::of(command.args(line.split_whitespace()).env("COLUMNS", columns)).ok()
    };
    assert_eq!(at("40", &format!("mfu {MEASURED}")), at("200", &format!("mfu {MEASURED}")));
    let words = |help: &str| help.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (narrow, wide) = (at("40", "estimate -h"), at("200", "estimate -h"));
    assert!(narrow.lines().count() > wide.lines().count());
    assert_eq!(words(&narrow), words(&wide));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is() {
    let place = Place::with_llama();
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(place.command().get_program()).stdin(Stdio::null());
        Run::of(shell.current_dir(place.path()))
    };
    let run = shell("{ \"$0\" models --format json; echo \"code $?\" >&2; } | head -n 1");
    assert_eq!((run.out.as_str(), run.err.as_str()), ("{\n", "code 0\n"));
    if std::path::Path::new("/dev/full").exists() {
        let run = shell("\"$0\" devices > /dev/full");
        assert_eq!(run.code, Some(1));
        assert!(run.err.starts_with("error: standard output: "), "{run:?}");
        // Nobody hears it, and still it ends as it should.
        assert_eq!(shell("\"$0\" devices H100 2> /dev/full").code, Some(1));
        assert_eq!(shell("\"$0\" nonsense 2> /dev/full").code, Some(2));
        assert_eq!(shell("\"$0\" devices H100 2>&-").code, Some(1));
        assert_eq!(shell("\"$0\" devices >&-").code, Some(0));
    }
}

/// Completions are scripts that their shells read without a word.
#[cfg(unix)]
#[test]
fn shells_read_the_completions() {
    let place = Place::new();
    let mut read = Vec::new();
    for (shell, script) in [
        ("bash", ". ./completions && complete -p flopmeter"),
        (
            "zsh",
            "autoload -Uz compinit && compinit -D -u && . ./completions && whence -w _flopmeter",
        ),
        ("fish", "source ./completions; and complete -C 'flopmeter est'"),
    ] {
        place.put("completions", place.run(&format!("completions {shell}")).ok());
        let mut command = Command::new(shell);
        command.args(["-c", script]).current_dir(place.path()).env("HOME", place.path());
        let Ok(output) = command.stdin(Stdio::null()).output() else {
            eprintln!("skipped: no {shell} here");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
        assert!(said.contains("flopmeter") || said.contains("estimate"), "{shell}: {said}");
        read.push(shell);
    }
    assert!(!read.is_empty(), "no shell at all");
    for shell in ["elvish", "powershell"] {
        let script = place.run(&format!("completions {shell}")).ok();
        assert!(script.contains("utilization"), "{shell}");
    }
}
