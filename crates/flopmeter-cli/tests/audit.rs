//! `flopmeter audit`: what a table of claims is told, and what a table is told that is none.
//!
//! The llama of `run/mod.rs` makes 4,154,880 FLOPs of a row of 10 tokens (`train.rs`): at 1,000 tokens a second 100 rows,
//! 415.488 MFLOP/s, 41.55 % of a peak of 1 GFLOP/s.

mod run;

use run::{Place, Run};
use serde_json::Value;

const LLAMA_ROW: &str = "model,seq_len,devices,peak,throughput,unit,mfu\n\
                         llama.json,10,1,1e9,1000,tokens/s,41.55 %\n";

/// Megatron's GPT of 175 billion parameters, as table 5 of arXiv:2205.05198 has it: 13.75 s, 51.4 % and 52.8 %.
const GPT_3: &str = "row,layers,hidden,heads,ffn,ffn_type,vocab,seq_len,batch,devices,peak,recompute,throughput,unit,mfu,hfu\n\
                     GPT-3,96,12288,96,49152,gelu,51200,2048,64,64,312e12,selective,13.75,s/step,51.4,52.8\n";

fn audit(table: impl AsRef<[u8]>, more: &str) -> Run {
    let place = Place::with_llama();
    place.put("table.csv", table);
    place.run(&format!("audit table.csv {more}"))
}

fn json(table: &str) -> Value {
    audit(table, "--format json").json()
}

#[track_caller]
fn fails(table: impl AsRef<[u8]>, message: &str) {
    let run = audit(table, "");
    let (said, _) = run.failure();
    assert_eq!(said, format!("table.csv: {message}"));
}

#[test]
fn a_claim_that_comes_out() {
    let report = json(LLAMA_ROW);
    let row = &report["rows"][0];
    assert_eq!((&row["verdict"], &row["line"]), (&"reproduces".into(), &2.into()));
    let model = &row["figures"]["model"];
    let mfu = model["mfu"].as_f64().expect("a ratio");
    assert!((mfu - 0.415_488).abs() < 1e-9, "{mfu}");
    assert!(row["best"].as_array().expect("a list").contains(&"model".into()), "{row}");
    assert_eq!(report["verdicts"]["reproduces"], 1);
}

/// The same with a claim that is a tenth more, and with one that a coarser throughput would explain: 1e3 with no digit
/// behind it may be 950 to 1050.
#[test]
fn a_claim_that_does_not() {
    let more = json(&LLAMA_ROW.replace("41.55", "45.70"));
    let model = &more["rows"][0]["figures"]["model"];
    assert_eq!(model["verdict"], "differs");
    let deviation = model["deviation"].as_f64().expect("a number");
    assert!((deviation - (0.415_488 / 0.457 - 1.0)).abs() < 1e-9, "{deviation}");

    let coarse = json(&LLAMA_ROW.replace("41.55", "42.3").replace(",1000,", ",1.0e3,"));
    assert_eq!(coarse["rows"][0]["figures"]["model"]["verdict"], "within rounding");
    let exact = json(&LLAMA_ROW.replace("41.55", "42.3").replace(",1000,", ",1000.0,"));
    assert_eq!(exact["rows"][0]["figures"]["model"]["verdict"], "differs");
}

#[test]
fn a_shape_and_a_convention_that_counts_executed_flops() {
    let report = json(GPT_3);
    let row = &report["rows"][0];
    assert_eq!(row["best"], serde_json::json!(["megatron-2022"]));
    assert_eq!(row["verdict"], "reproduces");
    // Above 1, so the columns are percentages, which is said.
    let notes = report["notes"].to_string();
    assert!(notes.contains("`mfu` is above 1 in line 2: the column is read as percent"), "{notes}");
    // 51.39 % with S/6h and 52.77 % with S/3h, by hand from the formula of the appendix.
    let figure = &row["figures"]["megatron-2022"];
    for (name, expected) in [("mfu", 0.513_882_3), ("hfu", 0.527_722_3)] {
        let ratio = figure[name].as_f64().expect("a ratio");
        assert!((ratio - expected).abs() < 1e-6, "{name} {ratio}");
    }
}

#[test]
fn units_say_the_same_speed() {
    // 100 rows a second on 2 devices are 50 of each: steps of 5 rows take 50 ms.
    let table = |throughput: &str, unit: &str| {
        format!(
            "model,seq_len,batch,devices,peak,throughput,unit,mfu\n\
             llama.json,10,5,2,1e9,{throughput},{unit},20.7744 %\n"
        )
    };
    for (throughput, unit) in [
        ("1000", "tokens/s"),
        ("500", "tokens/s/device"),
        ("500", "tokens/s/gpu (mean)"),
        ("100", "samples/s"),
        ("50", "sequences/s/device"),
        ("20", "steps/s"),
        ("0.05", "s/step"),
        ("50", "ms/step"),
    ] {
        let report = json(&table(throughput, unit));
        let mfu = report["rows"][0]["figures"]["model"]["mfu"].as_f64().expect("a ratio");
        assert!((mfu - 0.207_744).abs() < 1e-9, "{throughput} {unit}: {mfu}");
    }
}

/// No row is passed over: what it lacks is said, and it counts among those that say too little.
#[test]
fn a_row_that_says_too_little_is_told_so() {
    for (row, why) in [
        (",10,1,1e9,1000,tokens/s,41.55 %", "names no model, and its shape has no `layers`"),
        ("llama.json,,1,1e9,1000,tokens/s,41.55 %", "has no `seq_len`"),
        ("llama.json,10,,1e9,1000,tokens/s,41.55 %", "has no `devices`"),
        ("llama.json,10,1,1e9,,tokens/s,41.55 %", "has no `throughput`"),
        ("llama.json,10,1,1e9,1000,,41.55 %", "has a `throughput` and no `unit`"),
        ("llama.json,10,1,1e9,1,s/step,41.55 %", "has no `batch`"),
        ("llama.json,10,1,1e9,1000,tokens/s,", "claims nothing"),
        ("llama.json,10,1,,1000,tokens/s,41.55 %", "neither `peak` nor `device`"),
        ("lama3:8c,10,1,1e9,1000,tokens/s,41.55 %", "is no model that is built in"),
    ] {
        let report = json(&format!("model,seq_len,devices,peak,throughput,unit,mfu\n{row}\n"));
        assert_eq!(report["rows"][0]["verdict"], "unknown", "{row}");
        assert_eq!(report["verdicts"]["unknown"], 1, "{row}");
        let notes = report["rows"][0]["notes"].to_string();
        assert!(notes.contains(why), "{notes}");
    }
}

/// Where no throughput is printed, TFLOP/s ÷ peak can still be held: 400 ÷ 989 = 40.4 %, and not 41 %.
#[test]
fn a_division_is_held_alone() {
    let table = |mfu: &str| format!("model,seq_len,peak,tflops,mfu\nA,8192,989e12,400,{mfu}\n");
    assert_eq!(json(&table("40.4 %"))["rows"][0]["verdict"], "reproduces");
    assert_eq!(json(&table("41 %"))["rows"][0]["verdict"], "differs");
}

#[test]
fn devices_that_share_a_peak_need_not_be_told_apart() {
    let table = |device: &str| {
        format!(
            "model,seq_len,devices,device,dtype,throughput,unit,mfu\n\
             llama.json,10,1,{device},bf16,750902741,tokens/s,100 %\n"
        )
    };
    // 750,902,741 · 415,488 FLOPs a token are 311.99… TFLOP/s of the 312 that either A100 of 80 GB has.
    assert_eq!(json(&table("A100-80GB"))["rows"][0]["figures"]["model"]["verdict"], "reproduces");
    // An H100 has another peak as SXM than as PCIe.
    let report = json(&table("H100"));
    assert_eq!(report["rows"][0]["verdict"], "unknown");
    assert!(report["rows"][0]["notes"].to_string().contains("several devices have this name"));
}

#[test]
fn tables_that_are_none() {
    fails("", "line 1: is not there; its first line holds the names of the columns");
    let run = audit(b"1,2,3\n4,5,6\n", "");
    assert!(run.failure().0.contains("header: names no column that is known"));
    for (header, lacking) in [
        ("seq_len,mfu", "`model`, nor `layers` and `hidden`"),
        ("model,mfu", "`seq_len`"),
        ("model,seq_len", "a claimed figure"),
    ] {
        let run = audit(format!("{header}\n"), "");
        let said = run.failure().0;
        assert!(said.contains(lacking), "{said}");
    }
    fails(
        "model,seq_len,mfu,claimed MFU\n",
        "header, column `claimed MFU`: means `mfu`, which another column is already; leave one of them out",
    );
    fails(
        "model,seq_len,mfu\n\nllama.json,10\n",
        "line 3: has 2 cells, and the header has 3; a cell with a comma in it stands in quotes",
    );
}

#[test]
fn cells_that_are_no_figures_are_named_with_line_and_column() {
    for (column, cell, fact) in [
        ("mfu", "nan", "is no number above zero"),
        ("mfu", "inf %", "is no number above zero"),
        ("mfu", "-3", "is no number above zero"),
        ("mfu", "fast", "is no number"),
        ("mfu", "1e999", "is no number above zero"),
        ("seq_len", "0", "is not above zero"),
        ("seq_len", "-1", "is no whole number of 64 bits"),
        ("seq_len", "99999999999999999999", "is no whole number of 64 bits"),
        ("unit", "furlongs", "is no unit of a throughput that is known"),
        ("recompute", "some", "is nothing that is recomputed"),
        ("ffn_type", "relax", "is no kind of feed-forward layer that is known"),
        ("parameters", "many", "is no number of parameters above zero"),
        ("tied", "perhaps", "is neither yes nor no"),
    ] {
        let others =
            [("model", "llama.json"), ("seq_len", "10"), ("mfu", "0.4"), ("throughput", "1")];
        let mut cells: Vec<(&str, &str)> =
            others.into_iter().filter(|(name, _)| *name != column).collect();
        cells.push((column, cell));
        let (names, values): (Vec<&str>, Vec<&str>) = cells.into_iter().unzip();
        let run = audit(format!("{}\n{}\n", names.join(","), values.join(",")), "");
        let said = run.failure().0;
        let start = format!("table.csv: line 2, column `{column}`: `{cell}` {fact}");
        assert!(said.starts_with(&start), "{said}");
    }
}

#[test]
fn bytes_that_are_no_text_and_cells_without_end() {
    fails(
        b"model,seq_len,mfu\nllama.json,10,0.4\nl\xFFama,10,0.4\n",
        "line 3, column `model`: is not UTF-8 text; save the table as UTF-8",
    );
    fails(
        format!("model,seq_len,mfu\n{},10,0.4\n", "x".repeat(10_000)),
        "line 2, column `model`: is 10000 bytes long; the longest cell that is read is 8192; a quotation mark that is not \
         closed makes one cell of the rest of a file",
    );
    let place = Place::new();
    assert_eq!(
        place.run("audit none.csv").failure().0,
        "none.csv: does not exist; give a CSV file"
    );
    assert_eq!(place.run("audit .").failure().0, ".: is not a file; give a CSV file");
    // Words of a stranger command no terminal.
    let run = audit("model,seq_len,mfu,\u{1b}[2J\nllama.json,10,0.4,\u{1b}]0;x\u{7}\n", "");
    assert!(!run.ok().contains('\u{1b}'));
}

#[test]
fn every_form_has_every_row() {
    for (form, row) in [
        ("table", "  2   llama.json"),
        ("markdown", "| 2 | llama.json |"),
        ("csv", "2,llama.json,"),
        ("json", "\"row\": \"llama.json\""),
    ] {
        let out = audit(LLAMA_ROW, &format!("--format {form}")).ok();
        assert!(out.contains(row), "{form}: {out}");
    }
    let many = format!("{LLAMA_ROW}{}", "llama.json,10,1,1e9,1000,tokens/s,41.55 %\n".repeat(20));
    let few = audit(&many, "").ok();
    assert!(few.contains("21 rows: 21 reproduce") && !few.contains("each row by every convention"));
    assert!(audit(&many, "--all").ok().contains("each row by every convention"));
}
