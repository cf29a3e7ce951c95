//! `flopmeter plot`, on the small llama of `run/mod.rs`; the arithmetic of its numbers is in `sessions.rs`.

mod run;

use run::{LLAMA, Place};
use std::fs;

const HARDWARE: &str = "--peak bf16=1e12 --bandwidth 1e11";

/// The picture that a plot writes.
#[track_caller]
fn drawn(line: &str, file: &str) -> Vec<u8> {
    let place = Place::with_llama();
    assert_eq!(place.run(&format!("plot {line} -o {file}")).ok(), "");
    fs::read(place.path().join(file)).expect("a picture")
}

#[track_caller]
fn svg(line: &str) -> String {
    String::from_utf8(drawn(line, "plot.svg")).expect("text")
}

/// The points of a series, as the description has them.
#[track_caller]
fn points(svg: &str, name: &str) -> Vec<(f64, f64)> {
    let line = svg.lines().find(|line| line.starts_with(&format!("{name} (")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {svg}"));
    let (_, points) = line.split_once("): ").expect("points");
    let points = points.trim_end_matches("</desc>").split(") (");
    let number = |text: &str| text.trim_matches(['(', ')', ' ']).parse().expect("a number");
    points
        .map(|point| point.split_once(", ").expect("two"))
        .map(|(x, y)| (number(x), number(y)))
        .collect()
}

fn near(left: f64, right: f64) -> bool {
    (left / right - 1.0).abs() < 1e-9
}

#[track_caller]
fn same(points: &[(f64, f64)], expected: &[(f64, f64)]) {
    let equal = points.iter().zip(expected).all(|(a, b)| near(a.0, b.0) && near(a.1, b.1));
    assert!(equal && points.len() == expected.len(), "{points:?}, not {expected:?}");
}

/// Where an element has its middle, by an attribute of each axis.
fn attribute(element: &str, name: &str) -> f64 {
    let (_, rest) = element.split_once(&format!(" {name}=\"")).expect("an attribute");
    rest.split('"').next().expect("a value").parse().expect("a number")
}

/// The place of a tick that has this label.
fn tick(svg: &str, label: &str, name: &str) -> f64 {
    let lines: Vec<&str> = svg.lines().collect();
    let at = lines.iter().position(|line| *line == label).expect("a tick");
    attribute(lines[at - 1], name)
}

/// Prefill 1,269,760 FLOPs and 142,720 bytes, decode 283,136 and 279,296; both bound by memory, so on the slope.
#[test]
fn the_phases_are_where_they_belong_under_the_roof() {
    let svg = svg(&format!("roofline llama.json -p 10 -g 3 {HARDWARE}"));
    let (prefill, decode) = (1_269_760.0 / 142_720.0, 283_136.0 / 279_296.0);
    same(&points(&svg, "prefill"), &[(prefill, prefill * 1e11)]);
    same(&points(&svg, "decode"), &[(decode, decode * 1e11)]);
    let roof = "roof: 100.0 GB/s, then 1.000 TFLOP/s from 10 FLOP/B on";
    // From a quarter of the least intensity to four times the greatest; the ridge is at 1e12 ÷ 1e11.
    same(&points(&svg, roof), &[(decode / 4.0, decode / 4.0 * 1e11), (10.0, 1e12), (40.0, 1e12)]);

    // The mark of the prefill, a square, stands between the ticks as its logarithms do.
    let square = svg.lines().filter(|line| line.starts_with("<rect")).nth(1).expect("a mark");
    let middle = |at: &str, size: &str| attribute(square, at) + attribute(square, size) / 2.0;
    let between = |axis: &str, from: &str, to: &str, share: f64| {
        let (from, to) = (tick(&svg, from, axis), tick(&svg, to, axis));
        from + share * (to - from)
    };
    let across = between("x", "1", "10", prefill.log10());
    assert!((middle("x", "width") - across).abs() <= 2.0, "{square}, not {across}");
    let up = between("y", "100 GFLOP/s", "1 TFLOP/s", prefill.log10());
    assert!((middle("y", "height") - up).abs() <= 2.0, "{square}, not {up}");
}

/// 2, 4 and 8 requests as `sweep` counts them.
#[test]
fn a_batch_has_the_figures_of_a_sweep() {
    let line = format!("llama.json -p 10 -g 3 -b 2..8x2 {HARDWARE}");
    let svg = svg(&format!("batch {line}"));
    let csv = Place::with_llama().run(&format!("sweep {line} --format csv")).ok();
    let mut rows = csv.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let names = rows.next().expect("names");
    let rows: Vec<_> = rows.collect();
    let column = |name: &str| {
        let at = names.iter().position(|known| *known == name).expect("a column");
        let value = |row: &Vec<&str>| row[at].parse::<f64>().expect("a number");
        [2.0, 4.0, 8.0].into_iter().zip(rows.iter().map(value)).collect::<Vec<_>>()
    };
    same(&points(&svg, "MFU"), &column("mfu"));
    same(&points(&svg, "MBU"), &column("mbu"));
    same(&points(&svg, "all sequences"), &column("tokens_per_second"));
    let each: Vec<_> =
        column("tokens_per_second").into_iter().map(|(x, rate)| (x, rate / x)).collect();
    same(&points(&svg, "each sequence"), &each);
}

/// 10 tokens: 1,269,760 FLOPs, of them 55 pairs of 512. The next: 122,880 + 12,800 + 11 pairs of 512. A token is 256 bytes
/// of the cache, which has the next one too.
#[test]
fn a_context_costs_what_its_tokens_and_pairs_cost() {
    let svg = svg("context llama.json --context 10");
    same(&points(&svg, "prompt"), &[(10.0, 1_269_760.0)]);
    same(&points(&svg, "next token"), &[(10.0, 122_880.0 + 12_800.0 + 11.0 * 512.0)]);
    let attention = "of it attention&apos;s scores and values".replace("&apos;", "'");
    same(&points(&svg, &attention), &[(10.0, 55.0 * 512.0)]);
    same(&points(&svg, "moved, prompt"), &[(10.0, 142_720.0)]);
    same(&points(&svg, "held, KV cache"), &[(10.0, 11.0 * 256.0)]);
    same(&points(&svg, "held, weights"), &[(10.0, 149_120.0)]);
    let title = "<title>Cost over context of llama.json</title>";
    assert!(svg.contains(title) && svg.contains("convention model"), "{svg}");
}

/// No font is looked for, so none is missed.
#[test]
fn a_png_is_one_and_has_the_colours_of_its_theme() {
    for (theme, ground, line) in
        [("light", [255, 255, 255], [0, 114, 178]), ("dark", [17, 20, 24], [86, 180, 233])]
    {
        let bytes = drawn(
            &format!("roofline llama.json -p 10 -g 3 --theme {theme} {HARDWARE}"),
            "plot.png",
        );
        let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        let mut reader = decoder.read_info().expect("a header");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut pixels).expect("a picture");
        assert_eq!((info.width, info.color_type), (1920, png::ColorType::Rgb));
        assert!(info.height > 1000);
        let pixels: Vec<&[u8]> = pixels.chunks(3).collect();
        assert_eq!(pixels[0], ground);
        let of = |colour: [u8; 3]| pixels.iter().filter(|pixel| ***pixel == colour).count();
        assert!(of(line) > 1000, "{theme}: a roof of {} pixels", of(line));
        assert!(of(ground) > pixels.len() / 2);
    }
}

#[test]
fn a_terminal_shows_it_in_letters() {
    let place = Place::with_llama();
    let out = place.run(&format!("plot roofline llama.json -p 10 -g 3 {HARDWARE}")).ok();
    assert!(out.starts_with("Roofline of llama.json\n1 × custom device, bf16 dense peak"), "{out}");
    assert!(out.contains("\n b prefill\n") && out.contains("\n c decode\n"), "{out}");
    assert!(out.contains("1 TFLOP/s │"), "{out}");
    let canvas = || out.lines().filter_map(|line| line.split_once('│'));
    for letter in ['b', 'c'] {
        assert_eq!(canvas().filter(|(_, row)| row.contains(letter)).count(), 1, "{letter}: {out}");
    }
    // The prefill is higher and further to the right.
    let place_of = |letter| {
        let rows = canvas().enumerate();
        let mut found =
            rows.filter_map(|(y, (_, row))| Some((y, row.chars().position(|it| it == letter)?)));
        found.next().expect("a point")
    };
    let (prefill, decode) = (place_of('b'), place_of('c'));
    assert!(prefill.0 < decode.0 && prefill.1 > decode.1, "{out}");
    for columns in ["1", "40", "80", "100000", "wide"] {
        let mut command = place.command();
        command.env("COLUMNS", columns).args(["plot", "context", "llama.json"]);
        let out = run::Run::of(&mut command).ok();
        let widest = out.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(widest <= 160, "{columns}: {widest}");
    }
}

#[test]
fn extremes_are_drawn_or_refused() {
    let place = Place::new();
    place.put("llama.json", LLAMA);
    let long = format!("{}.json", "m<&>\"é模".repeat(20));
    place.put(&long, LLAMA);
    for (args, file) in [
        ("-p 1 -g 0 -b 1", "svg"),
        ("-p 1000000000000 -g 1000000000000 -b 1..1000000x10", "svg"),
        ("-p 1 -b 1..4096", "svg"),
        ("-p 1 -b 18446744073709551615", "svg"),
    ] {
        for plot in ["roofline", "batch"] {
            let line = format!("plot {plot} llama.json {args} {HARDWARE} -o plot.{file}");
            place.run(&line).ok();
            place.run(line.split(" -o").next().expect("a command")).ok();
        }
    }
    for hardware in ["--peak bf16=1e-30 --bandwidth 1e30", "--peak bf16=1e30 --bandwidth 1e-30"] {
        place.run(&format!("plot roofline llama.json {hardware} -o plot.svg")).ok();
    }
    place.run("plot context llama.json --context 1..1000000000000000000x7 -o plot.svg").ok();
    let mut command = place.command();
    command.args(["plot", "context", &long, "-o", "long.svg"]);
    run::Run::of(&mut command).ok();
    let svg = fs::read_to_string(place.path().join("long.svg")).expect("a picture");
    assert!(svg.contains("m&lt;&amp;&gt;"), "{svg}");
    assert!(!svg.contains("m<&"), "{svg}");

    for (line, fact) in [
        ("roofline llama.json", "--device: is missing"),
        ("batch llama.json --peak bf16=1e12", "bandwidth"),
        ("context llama.json --context 1..5000", "is 5000 values; at most 4096"),
        ("context llama.json --context 0..18446744073709551615", "is 18446744073709551616 values"),
        ("context llama.json -o nowhere/plot.svg", "cannot be written"),
        ("context llama.json --context 18446744073709551615", "does not fit 128 bits"),
    ] {
        let (message, _) = place.run(&format!("plot {line}")).failure();
        assert!(message.contains(fact), "{line}: {message}");
    }
    for file in ["plot", "plot.jpg", ".svg"] {
        let run = place.run(&format!("plot context llama.json -o {file}"));
        assert_eq!(run.code, Some(2), "{file}: {run:?}");
    }
}

/// BERT reads its prompt and generates nothing.
#[test]
fn an_encoder_has_no_next_token() {
    let place = Place::with_llama();
    let out = place.run("plot context google-bert/bert-base-uncased --context 16..512x2").ok();
    assert!(out.contains(" prompt\n") && !out.contains("next token"), "{out}");
}
