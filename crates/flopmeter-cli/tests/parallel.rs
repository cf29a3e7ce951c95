//! `--tp`, `--pp`, `--dp`, `--ep` of `estimate` and `utilization`, on the small llama of `run/mod.rs`.
//!
//! ```text
//! a token 122,880 FLOPs and a pair 512, in two layers; a head 12,800; 10 tokens and 3 that are generated have 55 pairs,
//! then 11 and 12
//! ```

mod run;

use run::{Place, Report};

fn estimate(line: &str) -> Report {
    Place::with_llama().run(&format!("estimate llama.json -p 10 -g 3 {line} --format json")).json()
}

#[test]
fn each_kind_of_rank_says_what_it_does() {
    let report = estimate("--tp 2 --pp 2 --dp 3 --batch 6");
    let plan = report.parallelism.expect("a plan");
    assert_eq!((plan.data, plan.tensor, plan.pipeline, plan.devices), (3, 2, 2, 12));
    assert_eq!((plan.expert, plan.expert_tensor, plan.virtual_stages), (1, 2, 1));
    assert!(!plan.sequence && plan.replicated.is_empty());
    // 100 to 128.
    assert_eq!(plan.vocabulary_padding, 28);
    let [first, last] = &report.ranks[..] else { panic!("{:?}", report.ranks) };
    assert_eq!((first.name.as_str(), first.count), ("stage 1 of 2, layer 0", 6));
    assert_eq!((last.name.as_str(), last.count), ("stage 2 of 2, layer 1", 6));
    // A layer of two, half of it, of two sequences of six.
    let layer = |tokens: u128, pairs: u128| 2 * (tokens * 30_720 + pairs * 128);
    assert_eq!(first.flops.prefill, layer(10, 55));
    assert_eq!(first.flops.decode, layer(2, 23));
    assert_eq!(last.flops.prefill, layer(10, 55) + 2 * 8192);
    assert_eq!(last.flops.total, layer(12, 78) + 2 * 3 * 8192);
    // The whole, and 28 rows of 64 for each of 18 samples.
    assert_eq!(plan.flops, report.flops.total + 18 * 2 * 28 * 64);
    // Half of q, k, v, o, gate, up and down; norms whole; half of the padded table, or of the head.
    assert_eq!(first.parameters, 6144 + 9216 + 128 + 4096);
    assert_eq!(last.parameters, 6144 + 9216 + 128 + 64 + 4096);
    assert_eq!(first.bytes.weights, 2 * first.parameters);
    assert_eq!(first.bytes.kv_cache_per_token, 2 * 16 * 2);
    let sent: Vec<_> =
        first.sent.iter().map(|it| (it.collective.as_str(), it.of.as_str(), it.prefill)).collect();
    // 20 tokens of 128 bytes; a ring of two sends them once.
    assert_eq!(
        sent,
        [
            ("all-reduce", "embedding", 2560),
            ("all-reduce", "attention", 2560),
            ("all-reduce", "feed-forward layers", 2560),
            ("point-to-point", "hidden states to the next stage", 2560),
        ]
    );
    assert!(first.sent.iter().all(|it| it.ranks == 2 && it.seconds.is_none()));
    assert!(report.notes.iter().any(|note| note.contains("padded by 28 rows")));
}

#[test]
fn stages_are_given_by_hand() {
    let names = |line: &str| -> Vec<String> {
        estimate(line).ranks.into_iter().map(|rank| rank.name).collect()
    };
    // As many stages as numbers.
    let ends = ["stage 1 of 3, layer 0", "stage 2 of 3, layer 1", "stage 3 of 3, no layers"];
    assert_eq!(names("--stages 1*2,0"), ends);
    assert_eq!(names("--pp 3 --stages 1,1,0"), ends);
    let place = Place::with_llama();
    let usage = place.run("estimate llama.json -p 10 --stages 1,x").usage();
    assert!(usage.contains("invalid value 'x'"), "{usage}");
}

/// 12 tokens in pieces of 3: 39 pairs each.
#[test]
fn ranks_share_a_prompt() {
    let place = Place::with_llama();
    let line = "estimate llama.json -p 12 -g 1 --cp 2 --device nvidia-h100-sxm-80gb --format json";
    let report: Report = place.run(line).json();
    let plan = report.parallelism.expect("a plan");
    assert_eq!((plan.context, plan.devices), (2, 2));
    let [rank] = &report.ranks[..] else { panic!("{:?}", report.ranks) };
    assert_eq!((rank.name.as_str(), rank.count), ("every rank", 2));
    assert_eq!(rank.flops.total, 6 * 122_880 + 39 * 512 + 12_800);
    let sent: Vec<_> = rank.sent.iter().map(|it| (it.of.as_str(), it.prefill)).collect();
    let hidden = ("hidden states before the head", 12 * 64);
    assert_eq!(sent, [("keys and values", 12 * 128), hidden]);
    let table = place.run("estimate llama.json -p 12 --cp 2").ok();
    assert!(table.contains("2 devices: context 2"), "{table}");
}

#[test]
fn the_device_is_asked_whether_every_rank_fits() {
    let report = estimate("--tp 2 --device nvidia-h100-sxm-80gb");
    let device = report.device.expect("a device");
    assert_eq!((device.count, device.fits), (2, Some(true)));
    let rank = &report.ranks[0];
    assert_eq!(rank.fits, Some(true));
    // NVLink of an H100: 900 GB/s in both directions.
    let reduced = rank.sent.iter().find(|it| it.of == "attention").expect("attention");
    let bytes = f64::from(12 * 256);
    assert_eq!(reduced.seconds, Some(bytes / 450e9));
    // What is left of 80 GB after 2·39,232 bytes, by the 12 tokens of 128 bytes of a sequence's cache.
    let plan = report.parallelism.expect("a plan");
    let left = 80_000_000_000 - 2 * 39_232;
    assert_eq!(plan.largest_batch, Some(left / (12 * 128)));
    // The last token of the answer is never cached.
    assert_eq!(plan.largest_context, Some(left / 128 + 1));
}

#[test]
fn nothing_is_cut_where_nothing_is_asked() {
    let report = estimate("");
    assert!(report.parallelism.is_none() && report.ranks.is_empty());
}

#[test]
fn utilization_is_of_all_devices() {
    let place = Place::with_llama();
    let line =
        "mfu llama.json -p 10 -g 3 --time 1ms --peak bf16=1e12 --bandwidth 1e11 --format json";
    let one: Report = place.run(line).json();
    let two: Report = place.run(&format!("{line} --tp 2")).json();
    let mfu = |report: Report| report.utilization.and_then(|it| it.mfu).expect("an MFU");
    assert_eq!(mfu(one), 2.0 * mfu(two));
    let table = place.run("estimate llama.json -p 10 -g 3 --tp 2").ok();
    assert!(table.contains("2 devices: tensor 2"), "{table}");
    assert!(table.contains("all-reduce: attention"), "{table}");
}

#[test]
fn what_cannot_be_is_said() {
    let place = Place::with_llama();
    for (line, error) in [
        ("--tp 3", "tensor: 4 heads cannot be shared evenly by 3; the nearest are 2 and 4"),
        ("--pp 3", "pipeline: 2 layers are too few for 3 stages; the nearest is 2"),
        ("--dp 2", "data: 1 sequences cannot be shared evenly by 2; a batch of 2 can"),
        ("--ep 2 --dp 2 --batch 2", "expert: is 2, and this model has no experts"),
        ("--tp 0", "tensor: is 0; a size is 1 at least and 1048576 at most"),
        ("--sp", "sequence: has no tensor ranks that could share the tokens"),
        (
            "--tp 2 --peak bf16=1e12 --devices 4",
            "--devices: is 4, and the plan takes 2: 1 data × 1 context × 2 tensor × 1 pipeline; leave it out: it is the product",
        ),
        (
            "--tp 2 --draft llama.json --draft-tokens 2 --acceptance 0.5",
            "--draft: is not counted by ranks; leave the parallel sizes out, or the draft",
        ),
        (
            "--cp 2",
            "context: 10 tokens cannot be cut into 2·2 equal pieces; the nearest are 1 and 5; 12 tokens can",
        ),
        ("--pp 2 --stages 1,1,0", "stages: are 3 numbers for 2 stages"),
        ("--stages 2,1", "stages: have 3 layers together, and the model has 2"),
        ("--tp 2 --convention 2pt", "`2pt`: knows no parts of a model that a rank could have"),
        ("--tp 18446744073709551615 --pp 2", "devices: are more than 64 bits can number"),
    ] {
        let (said, _) = place.run(&format!("estimate llama.json -p 10 -g 3 {line}")).failure();
        assert_eq!(said, error, "{line}");
    }
}
