//! `--draft`, on the small llama of `run/mod.rs` drafting for itself.
//!
//! ```text
//! a token 122,880 FLOPs (attention's projections 49,152, feed-forward 73,728), a pair 512, a head 12,800
//! 10 tokens of prompt, 3 generated: 2 after the first, at positions 10 and 11
//! without a draft  prefill 10·122,880 + 55·512 + 12,800 = 1,269,760, decode 2·122,880 + 23·512 + 2·12,800 = 283,136
//! the draft reads the prompt and samples nothing: 10·122,880 + 55·512 = 1,256,960
//! ```
//!
//! With K = 4 the first step drafts 1 token, for 2 are left. Accepted or not, the target has computed both positions;
//! if it is accepted that was all, if not, a step of one token follows.

mod run;

use run::{LLAMA, Place, Report, Run};

const WORK: &str = "llama.json -p 10 -g 3";
const DRAFT: &str = "--draft llama.json --draft-tokens 4";

fn drafted(acceptance: &str, more: &str) -> Report {
    let line = format!("mfu {WORK} {DRAFT} --acceptance {acceptance} {more} --format json");
    Place::with_llama().run(&line).json()
}

const MEASURED: &str = "--time 1ms --peak bf16=1e12 --bandwidth 1e11";

#[test]
fn useful_and_spent_flops_are_apart() {
    let report = drafted("0.5", MEASURED);
    assert_eq!(report.flops.total, 1_269_760 + 283_136);
    let said = report.speculation.expect("a draft");
    assert_eq!(
        (said.draft.id.as_str(), said.draft_tokens, said.acceptance),
        ("llama.json", 4, 0.5)
    );
    assert_eq!(said.tokens_per_step, 1.0 + 0.5 + 0.25 + 0.125 + 0.0625);
    assert_eq!((said.steps, said.drafted_tokens), (1.0 + 0.5, 1.0));
    let flops = said.flops;
    assert_eq!((flops.useful, flops.prefill), (1_269_760 + 283_136, 1_269_760));
    assert_eq!(flops.draft_prefill, 1_256_960);
    // The draft's one pass sees 11 positions.
    assert_eq!(flops.drafting, 122_880 + 11 * 512 + 12_800);
    // Both positions, and with probability 1/2 the second again.
    assert_eq!(flops.verification, 283_136 + (122_880 + 12 * 512 + 12_800) / 2);
    let parts = flops.prefill + flops.draft_prefill + flops.drafting + flops.verification;
    assert_eq!(flops.spent, parts);
    let measured = report.utilization.expect("a measurement");
    assert_eq!(measured.mfu, Some(1_552_896.0 / 1e9));
    assert_eq!(measured.hfu, Some(parts as f64 / 1e9));
}

#[test]
fn bytes_and_the_ideal_time_are_those_of_both_models() {
    let report = drafted("1", MEASURED);
    let bytes = report.speculation.as_ref().expect("a draft").bytes.clone();
    assert_eq!(bytes.weights, 2 * 149_120);
    assert_eq!(bytes.kv_cache_per_token, 2 * 256);
    // The target keeps 12 positions, the draft the 11 that it computes.
    assert_eq!(bytes.kv_cache, (12 + 11) * 256);
    // The draft's head is not read: it samples nothing yet.
    assert_eq!(bytes.prefill.read, 2 * 140_160 - 12_800);
    // One pass each: 136,320 of weights, rows of 128 and the cache in sight, 11 positions and 12.
    let decode = (136_320 + 128 + 11 * 256) + (136_320 + 2 * 128 + 12 * 256);
    assert_eq!((bytes.decode.read, bytes.decode.written), (decode, 3 * 256));
    let measured = report.utilization.expect("a measurement");
    let moved = bytes.read + bytes.written;
    assert_eq!(measured.mbu, Some(moved as f64 / 1e8));
    // Memory bounds every pass.
    let ideal = measured.decode.ideal_seconds.expect("a bandwidth");
    assert!((ideal - (decode + 3 * 256) as f64 / 1e11).abs() < 1e-15, "{ideal}");
    // Without a draft 4.220 µs, of which the session's head has the arithmetic.
    let speedup = report.speculation.expect("a draft").speedup.expect("a bandwidth");
    let whole = measured.ideal_seconds.expect("a bandwidth");
    assert!((speedup - 4.220_16e-6 / whole).abs() < 1e-9, "{speedup}");
}

#[test]
fn a_batch_steps_together() {
    // Two sequences read the weights as often as one, and spend twice the FLOPs.
    let one = drafted("0.5", MEASURED);
    let two = drafted("0.5", &format!("--batch 2 {MEASURED}"));
    let [one, two] = [one, two].map(|report| report.speculation.expect("a draft"));
    assert_eq!(two.flops.spent, 2 * one.flops.spent);
    assert_eq!(two.steps, 2.0 * one.steps);
    let weights = 136_320 + 136_320 + 136_320 / 2;
    assert_eq!(two.bytes.decode.read - weights, 2 * (one.bytes.decode.read - weights));
}

#[test]
fn what_is_said_of_a_draft() {
    let place = Place::with_llama();
    place.put("wide.json", LLAMA.replace("\"vocab_size\": 100", "\"vocab_size\": 128"));
    let line = format!(
        "estimate {WORK} --draft wide.json --draft-tokens 4 --acceptance 0.5 --format json"
    );
    let notes = place.run(&line).json::<Report>().notes;
    let said = "the draft's vocabulary has 128 tokens and the target's 100: they work together only if the tokens that \
                both have are the same";
    assert!(notes.iter().any(|note| note == said), "{notes:?}");
    let explained = place.run(&format!("explain {WORK} {DRAFT} --acceptance 0.5")).ok();
    for words in ["(1 − 0.5^(4 + 1)) ÷ (1 − 0.5)", "1.9375", "drafting", "verification", "spent"]
    {
        assert!(explained.contains(words), "{words}");
    }
    let table = place.run(&format!("estimate {WORK} {DRAFT} --acceptance 0.5")).ok();
    assert!(
        table.contains("draft llama.json (llama), 4 drafted a step, acceptance 0.5"),
        "{table}"
    );
}

/// DeepSeek-V3's layer has 11,610,067,968 parameters, and 256 corrections that are none.
#[test]
fn a_models_own_layers_draft() {
    let line = "estimate deepseek-ai/DeepSeek-V3 -p 100 -g 20 --draft mtp --draft-tokens 1 --acceptance 0.85";
    let report: Report = Place::new().run(&format!("{line} --format json")).json();
    let said = report.speculation.expect("a draft");
    assert_eq!(said.draft.id, "mtp of deepseek-ai/DeepSeek-V3");
    assert_eq!(said.draft.parameters.total, 11_610_067_968);
    assert_eq!(report.model.parameters.total, 671_026_404_352);
    assert!(said.bytes.weights > report.bytes.weights);
    let none = Place::with_llama()
        .run(&format!("estimate {WORK} --draft mtp --draft-tokens 1 --acceptance 0.5"));
    let (message, _) = none.failure();
    assert!(
        message.starts_with("draft: `llama` has no layers that predict further tokens"),
        "{message}"
    );
}

#[test]
fn drafts_that_are_none() {
    let run = |more: &str| Place::with_llama().run(&format!("estimate {WORK} {more}"));
    let fails = |run: Run, message: &str| assert_eq!(run.failure().0, message);
    let draft = |tokens: &str, acceptance: &str| {
        run(&format!("--draft llama.json --draft-tokens {tokens} --acceptance {acceptance}"))
    };
    fails(
        draft("0", "0.5"),
        "draft tokens: are 0; a draft of no token is plain decoding: leave the draft out",
    );
    fails(
        draft("1000", "0.5"),
        "draft tokens: are 1000; the most that are believed is 256; give what is drafted a step, not in all",
    );
    for acceptance in ["-0.1", "1.01", "NaN", "inf"] {
        let hint = "it is the probability that a drafted token is accepted, from 0 to 1";
        fails(draft("4", acceptance), &format!("acceptance: is {acceptance}; {hint}"));
    }
    fails(
        run(&format!("{DRAFT} --acceptance 0.5 --convention 2pt")),
        "`2pt`: knows no passes, and a draft is a matter of them; count a draft with `model` or `torch`",
    );
    fails(
        run(&format!("{DRAFT} --acceptance 0.5 --no-kv-cache")),
        "draft: needs a KV cache; leave one of the two out",
    );
    let place = Place::with_llama();
    let t5 = r#"{"model_type": "t5", "d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_decoder_layers": 2,
        "num_heads": 4, "vocab_size": 100, "tie_word_embeddings": true}"#;
    place.put("t5.json", t5);
    let t5 = format!("estimate t5.json -p 10 -g 3 {DRAFT} --acceptance 0.5");
    fails(place.run(&t5), "draft: is not counted with an encoder; leave the draft out");
    let (message, _) = run("--draft nobody-knows-this --draft-tokens 4 --acceptance 0.5").failure();
    assert!(message.starts_with("draft: `nobody-knows-this`: "), "{message}");
    for usage in [
        "--draft llama.json",
        "--acceptance 0.5",
        "--draft-tokens 4",
        &format!("{DRAFT} --acceptance much"),
    ] {
        run(usage).usage();
    }
}
