//! Names: what drivers print, what people type, and what must never match.

use flopmeter::device::{self, Device};
use flopmeter::{Dtype, ErrorKind};
use proptest::prelude::*;

fn id(name: &str) -> String {
    match device::find(name) {
        Ok(device) => device.id().to_owned(),
        Err(error) => match error.kind() {
            ErrorKind::Ambiguous => "ambiguous".into(),
            ErrorKind::Device => "unknown".into(),
            other => panic!("{name}: {other:?}"),
        },
    }
}

/// A row of the recorded names; a name with a comma is quoted there.
fn recorded() -> Vec<(String, String)> {
    let text = include_str!("recorded/device_names.csv");
    text.lines()
        .skip(2)
        .map(|line| {
            let (name, device) = line.rsplit_once(',').expect("two columns");
            (name.trim_matches('"').to_owned(), device.to_owned())
        })
        .collect()
}

#[test]
fn recorded_names_mean_what_they_did() {
    let names = recorded();
    assert!(names.len() > 300, "{} names", names.len());
    let wrong: Vec<_> = names
        .iter()
        .filter(|(name, device)| id(name) != *device)
        .map(|(name, device)| format!("{name}: {} for {device}", id(name)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_is_found_by_its_id_and_name() {
    for device in Device::all() {
        assert_eq!(id(device.id()), device.id());
        assert_eq!(id(device.name()), device.id());
        assert_eq!(id(&device.id().to_uppercase().replace('-', " ")), device.id());
    }
}

/// What people type.
#[test]
fn spellings() {
    for (name, expected) in [
        ("H100 SXM", "nvidia-h100-sxm-80gb"),
        ("h100-sxm-80gb", "nvidia-h100-sxm-80gb"),
        ("h100_sxm5_80gb", "nvidia-h100-sxm-80gb"),
        ("  nvidia h100 80GB hbm3\t", "nvidia-h100-sxm-80gb"),
        ("NVIDIA Tesla H100 PCIe", "nvidia-h100-pcie-80gb"),
        ("H100 94 GB", "nvidia-h100-nvl-94gb"),
        ("H200 SXM", "nvidia-h200-sxm-141gb"),
        ("l40s", "nvidia-l40s-48gb"),
        ("L40S 48GiB", "nvidia-l40s-48gb"),
        ("RTX 4090", "nvidia-geforce-rtx-4090-24gb"),
        ("rtx4090", "nvidia-geforce-rtx-4090-24gb"),
        ("GeForce RTX 4090 Founders Edition", "nvidia-geforce-rtx-4090-24gb"),
        ("A100-SXM4-80GB", "nvidia-a100-sxm-80gb"),
        ("NVIDIA_A100-SXM4-80GB", "nvidia-a100-sxm-80gb"),
        ("A100 80GB SXM", "nvidia-a100-sxm-80gb"),
        ("RTX 3080 12GB", "nvidia-geforce-rtx-3080-12gb"),
        ("NVIDIA GeForce RTX 3080 10 GB", "nvidia-geforce-rtx-3080-10gb"),
        ("MI300X", "amd-instinct-mi300x-192gb"),
        ("MI250X", "amd-instinct-mi250x-gcd-64gb"),
        ("gfx908:sramecc+:xnack-", "amd-instinct-mi100-32gb"),
        ("Intel Arc B580", "intel-arc-b580-12gb"),
        ("Intel® Arc™ B580 Graphics", "intel-arc-b580-12gb"),
        ("Max 1550 64GB", "intel-max-1550-stack-64gb"),
        ("TPU v5e", "google-tpu-v5e"),
        ("tpu_v5_lite", "google-tpu-v5e"),
        ("Apple M4 Max 40-core", "apple-m4-max-40core"),
        ("Apple M4 Max (40-core GPU)", "apple-m4-max-40core"),
        ("M4 Max 40 cores", "apple-m4-max-40core"),
        ("Orin 64GB", "nvidia-jetson-agx-orin-64gb"),
    ] {
        assert_eq!(id(name), expected, "{name}");
    }
}

/// Names that begin or end like a row's, or hold one, and are something else.
#[test]
fn traps() {
    for (name, expected) in [
        ("NVIDIA RTX A1000", "unknown"), // holds A100
        ("A1000", "unknown"),
        ("A10 0", "unknown"),
        ("NVIDIA RTX A400", "unknown"), // A40
        ("NVIDIA RTX A4000", "nvidia-rtx-a4000-16gb"),
        ("NVIDIA A10G", "nvidia-a10g-24gb"), // A10
        ("NVIDIA A10M", "unknown"),
        ("NVIDIA A2", "nvidia-a2-16gb"),
        ("NVIDIA RTX A2000", "nvidia-rtx-a2000"),  // A2
        ("NVIDIA RTX A3000", "unknown"),           // A30
        ("A6000 Ada", "nvidia-rtx-6000-ada-48gb"), // A6000
        ("NVIDIA L40", "nvidia-l40-48gb"),         // L4
        ("NVIDIA L20", "nvidia-l20-48gb"),         // L2
        ("NVIDIA L20Y", "unknown"),
        ("L40 S", "unknown"),
        ("Tesla P40", "nvidia-p40-24gb"),         // P4
        ("NVIDIA H200", "nvidia-h200-sxm-141gb"), // H20
        ("NVIDIA H20", "nvidia-h20-96gb"),
        ("NVIDIA GH200 480GB", "nvidia-gh200-96gb"), // H200
        ("NVIDIA H200 NVL", "nvidia-h200-nvl-141gb"),
        ("NVIDIA Corporation GH100 [H20]", "nvidia-h20-96gb"), // H100
        ("NVIDIA Corporation GH100 [H100 NVSwitch]", "unknown"),
        ("NVIDIA GB200", "nvidia-gb200-186gb"), // B200
        ("NVIDIA GB300", "nvidia-gb300-279gb"), // B300
        ("Tesla V100S-PCIE-32GB", "nvidia-v100s-pcie-32gb"), // V100
        ("MI300A", "amd-instinct-mi300a-128gb"), // MI300
        ("RTX 4070 Ti SUPER", "nvidia-geforce-rtx-4070-ti-super-16gb"),
        ("RTX 4070 Ti", "nvidia-geforce-rtx-4070-ti-12gb"),
        ("RTX 4070 Ti 16GB", "unknown"),
        ("RTX 4090 D", "nvidia-geforce-rtx-4090-d-24gb"),
        ("RTX 5090 D v2", "nvidia-geforce-rtx-5090-d-v2-24gb"),
        ("RTX 4090 Laptop GPU", "nvidia-geforce-rtx-4090-laptop-16gb"),
        ("RTX 4090 Laptop GPU 24GB", "unknown"),
        ("RTX 4090 with Max-Q Design", "unknown"),
        ("RTX 4090 Mobile", "unknown"),
        ("RTX 4090 48GB", "unknown"),
        ("RTX 5070 SUPER", "unknown"),
        ("Radeon RX 7900 XTX", "amd-radeon-rx-7900-xtx-24gb"), // XT
        ("Radeon RX 7900 XT", "amd-radeon-rx-7900-xt-20gb"),
        ("Radeon RX 9070", "amd-radeon-rx-9070-16gb"),
        ("Quadro RTX 6000", "nvidia-quadro-rtx-6000-24gb"),
        ("RTX A6000", "nvidia-rtx-a6000-48gb"),
        ("RTX 6000 Ada", "nvidia-rtx-6000-ada-48gb"),
        ("RTX 6000", "ambiguous"),
        ("RTX 5000", "ambiguous"),
        ("TPU v5", "google-tpu-v5p"),     // TPU v5 lite
        ("TPU v2", "google-tpu-v2-core"), // a JAX device, half of the chip
        ("Ascend910B3", "huawei-ascend-910b3-64gb"),
        ("910B4-1", "huawei-ascend-910b4-1-64gb"), // 910B4
        ("Ascend910B1", "unknown"),
        ("Apple M4 Ultra", "unknown"),
        ("Apple M4 Max 48-core", "unknown"),
        ("H100", "ambiguous"),
        ("A100 80GB", "ambiguous"),
        ("RTX 3050 NVIDIA", "ambiguous"),
        ("RTX 3050 RTX", "unknown"),
        ("Intel H100", "unknown"),
        ("AMD RTX 4090", "unknown"),
        ("Intel Graphics", "unknown"), // AMD prints `AMD Radeon Graphics`
        ("8x H100 SXM", "unknown"),
        ("NVIDIA", "unknown"),
        ("GPU", "unknown"),
        ("", "unknown"),
    ] {
        assert_eq!(id(name), expected, "{name}");
    }
}

#[test]
fn slices_have_their_share() {
    // Multiprocessors of the slice over those of the GPU, memory slices over eight (A30: four).
    for (name, id, bf16, memory, bandwidth) in [
        // 989.5 · 16/132; 80 / 8; 3350 / 8
        (
            "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
            "nvidia-h100-sxm-80gb-mig-1g.10gb",
            119.939,
            10.0,
            418.75,
        ),
        // 989.5 · 26/132; 80 · 2/8; 3350 · 2/8
        ("H100 SXM MIG 1g.20gb", "nvidia-h100-sxm-80gb-mig-1g.20gb", 194.902, 20.0, 837.5),
        // 989.5 · 60/132
        (
            "nvidia-h100-sxm-80gb-mig-3g.40gb",
            "nvidia-h100-sxm-80gb-mig-3g.40gb",
            449.773,
            40.0,
            1675.0,
        ),
        // 756.5 · 62/114; 2000 · 4/8
        (
            "NVIDIA H100 PCIe MIG 4g.40gb",
            "nvidia-h100-pcie-80gb-mig-4g.40gb",
            411.430,
            40.0,
            1000.0,
        ),
        // 835.5 · 16/132; 94 / 8; 3938 / 8
        ("NVIDIA-H100-NVL-MIG-1g.12gb", "nvidia-h100-nvl-94gb-mig-1g.12gb", 101.273, 11.75, 492.25),
        // 312 · 42/108; 1555 · 4/8
        (
            "NVIDIA A100-SXM4-40GB MIG 3g.20gb",
            "nvidia-a100-sxm-40gb-mig-3g.20gb",
            121.333,
            20.0,
            777.5,
        ),
        // 312 · 14/108; 40 · 2/8; 1555 · 2/8
        (
            "NVIDIA A100-SXM4-40GB MIG 1g.10gb",
            "nvidia-a100-sxm-40gb-mig-1g.10gb",
            40.444,
            10.0,
            388.75,
        ),
        // 312 · 98/108: seven slices leave ten multiprocessors over
        (
            "NVIDIA A100-SXM4-80GB MIG 7g.80gb",
            "nvidia-a100-sxm-80gb-mig-7g.80gb",
            283.111,
            80.0,
            2039.0,
        ),
        // 165 · 28/56; 24 · 2/4; 933 · 2/4
        ("NVIDIA A30 MIG 2g.12gb", "nvidia-a30-24gb-mig-2g.12gb", 82.5, 12.0, 466.5),
        // 989.5 · 16/132; 141 / 8; 4800 / 8
        ("NVIDIA H200 MIG 1g.18gb", "nvidia-h200-sxm-141gb-mig-1g.18gb", 119.939, 17.625, 600.0),
        // 2250 · 18/148; 180 / 8; 7700 / 8
        ("NVIDIA B200 MIG 1g.23gb", "nvidia-b200-sxm-180gb-mig-1g.23gb", 273.649, 22.5, 962.5),
    ] {
        let slice = device::find(name).expect(name);
        assert_eq!(slice.id(), id, "{name}");
        assert_eq!(slice.unit(), "slice");
        let peak = slice.peak(Dtype::Bf16).expect(name).0 / 1e12;
        assert!((peak - bf16).abs() < 0.001, "{name}: {peak} TFLOP/s");
        assert_eq!(slice.memory_bytes().map(|bytes| bytes as f64 / 1e9), Some(memory), "{name}");
        assert!((slice.bandwidth().expect(name).0 / 1e9 - bandwidth).abs() < 1e-6, "{name}");
        assert_eq!(slice.interconnect(), None, "{name}: MIG has no peer-to-peer traffic");
    }
}

#[test]
fn shares_that_no_name_tells() {
    for (name, nearest) in [
        ("GRID T4-16Q", "nvidia-t4-16gb"),
        ("NVIDIA A40-48Q", "nvidia-a40-48gb"),
        ("NVIDIA L40S-48Q", "nvidia-l40s-48gb"),
        ("GRID A100X-40C", "nvidia-a100-sxm-40gb"),
        ("A100X-40C", "nvidia-a100-sxm-40gb"),
        ("NVIDIA A16-16A", "nvidia-a16-16gb"),
        ("AMD Instinct MI325X VF", "amd-instinct-mi325x-256gb"),
        ("AMD Instinct MI300X CPX", "amd-instinct-mi300x-192gb"),
    ] {
        let error = device::find(name).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{name}");
        assert!(error.hints()[0].contains(&format!("`{nearest}`")), "{name}: {error}");
        assert!(error.hints()[1].contains("--peak bf16="), "{name}: {error}");
    }
    for name in [
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb+me",
        "NVIDIA H100 80GB HBM3 MIG 1g.24gb",    // of an H100 NVL
        "NVIDIA A100-SXM4-40GB MIG 1g.20gb",    // of an A100 80GB
        "NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", // part of a slice
        "NVIDIA H100 80GB HBM3 MIG 3g.40gb 1",
        "NVIDIA H100 80GB HBM3 MIG",
        "NVIDIA H20 MIG 1g.12gb",
        "NVIDIA L40S MIG 1g.10gb",
        "H100 MIG 1g.10gb", // of which H100?
    ] {
        assert_eq!(id(name), "ambiguous", "{name}");
    }
    assert_eq!(id("MIG 1g.10gb"), "unknown");
    assert_eq!(id("NVIDIA RTX A1000 MIG 1g.10gb"), "unknown");
}

#[test]
fn errors_say_what_next() {
    let error = device::find("NVIDIA GeForce RTX 3080").expect_err("ambiguous");
    assert_eq!(
        error.candidate_list(),
        [
            "nvidia-geforce-rtx-3080-10gb  — 10 GB, 760.3 GB/s",
            "nvidia-geforce-rtx-3080-12gb  — 12 GB, 912.4 GB/s"
        ]
    );
    let error = device::find("Apple M4 Max").expect_err("ambiguous");
    assert_eq!(
        error.candidate_list(),
        [
            "apple-m4-max-32core  — 32 GPU cores, 410 GB/s",
            "apple-m4-max-40core  — 40 GPU cores, 546 GB/s"
        ]
    );
    let error = device::find("NVIDIA GeForce RTX 3050").expect_err("ambiguous");
    assert_eq!(error.hints()[0], "one of them has a row: `nvidia-geforce-rtx-3050-8gb`");
    assert_eq!(
        device::find("L4OS").expect_err("a typo").to_string(),
        "`L4OS`: no device is called that; nearest: `nvidia-l4-24gb`, `nvidia-l40s-48gb`; \
         give the peak yourself: `--peak bf16=989.5e12 --bandwidth 3.35e12`"
    );
    let error = device::find("A100 SXM 64GB")
        .and_then(|device| device.peak(Dtype::Bf16))
        .expect_err("no peak");
    assert_eq!(error.kind(), ErrorKind::Peak);
    let error = device::find("A100 SXM 64GB")
        .and_then(|device| device.bandwidth())
        .expect_err("no bandwidth");
    assert_eq!(error.kind(), ErrorKind::Peak);
}

/// Dense peaks in TFLOP/s as the data sheets print them, or half of what they print with sparsity.
#[test]
fn peaks_of_the_data_sheets() {
    use Dtype::{Bf16, Fp4, Fp8, Fp16, Fp32, Fp64, Int8, Tf32};
    for (name, dtype, tflops) in [
        ("H100 SXM", Bf16, 989.5),  // 1979 sparse
        ("H100 SXM", Fp8, 1979.0),  // 3958 sparse
        ("H100 SXM", Fp64, 66.9),   // tensor cores; 33.5 without
        ("H100 PCIe", Bf16, 756.5), // 1513 sparse
        ("H100 NVL", Bf16, 835.5),  // 1671 sparse
        ("H200 SXM", Bf16, 989.5),
        ("A100-SXM4-80GB", Bf16, 312.0),
        ("A100-SXM4-80GB", Tf32, 156.0),
        ("A100-SXM4-80GB", Int8, 624.0),
        ("V100-SXM2-16GB", Fp16, 125.0),
        ("Tesla T4", Fp16, 65.0),
        ("NVIDIA A10G", Bf16, 70.0), // not the 125 of an A10
        ("NVIDIA L4", Bf16, 121.0),  // 242 sparse
        ("NVIDIA L40", Bf16, 181.05),
        ("NVIDIA L40S", Bf16, 362.05),
        ("NVIDIA H20", Bf16, 148.0),
        ("NVIDIA B200", Bf16, 2250.0),  // 4500 sparse
        ("NVIDIA B200", Fp4, 9000.0),   // 18000 sparse
        ("NVIDIA GB200", Fp8, 5000.0),  // 10000 sparse
        ("NVIDIA B300", Fp4, 13_500.0), // 18000 sparse: not half
        ("RTX 4090", Bf16, 165.15),     // FP32 accumulation; 330 with FP16
        ("RTX 4090", Fp32, 82.58),
        ("RTX 3090", Bf16, 71.16),
        ("RTX A6000", Bf16, 154.83),
        ("MI300X", Bf16, 1307.4),
        ("MI300X", Fp8, 2614.9),
        ("MI250X", Bf16, 191.5), // one GCD; 383 a package
        ("MI355X", Fp4, 10_066.3),
        ("TPU v4", Bf16, 275.0),
        ("TPU v5e", Bf16, 197.0),
        ("TPU v5p", Bf16, 459.0),
        ("TPU v6e", Bf16, 918.0),
        ("GAUDI2", Bf16, 432.0),
        ("trn2", Bf16, 667.0),
        ("Apple M4 Max 40-core", Fp16, 16.18),
    ] {
        let peak = device::find(name).and_then(|device| device.peak(dtype)).expect(name).0;
        assert_eq!(peak, (tflops * 1e6_f64).round() * 1e6, "{name} {dtype}");
    }
    // Not in hardware, so not in the table.
    for (name, dtype) in [
        ("Tesla T4", Bf16),
        ("V100-SXM2-16GB", Bf16),
        ("A100-SXM4-80GB", Fp8),
        ("H100 SXM", Fp4),
        ("H100 SXM", Dtype::Int4),
        ("MI355X", Tf32),
    ] {
        assert!(device::find(name).expect(name).peak(dtype).is_err(), "{name} {dtype}");
    }
}

#[test]
fn bandwidths_of_the_data_sheets() {
    for (name, gb_per_s, gb) in [
        ("H100 SXM", 3350.0, 80),
        ("H200 SXM", 4800.0, 141),
        ("A100-SXM4-40GB", 1555.0, 40),
        ("A100-SXM4-80GB", 2039.0, 80),
        ("A100 80GB PCIe", 1935.0, 80),
        ("NVIDIA L40S", 864.0, 48),
        ("RTX 4090", 1008.0, 24),
        ("MI325X", 6000.0, 256),
        ("TPU v5e", 819.0, 16),
    ] {
        let device = device::find(name).expect(name);
        assert_eq!(device.bandwidth().expect(name).0, gb_per_s * 1e9, "{name}");
        assert_eq!(device.memory_bytes(), Some(gb * 1_000_000_000), "{name}");
    }
}

#[test]
fn the_16_bit_peak_by_name() {
    assert_eq!(device::bf16_tflops("NVIDIA H100 80GB HBM3"), Some(989.5));
    assert_eq!(device::bf16_tflops("Tesla V100-SXM2-16GB"), Some(125.0));
    assert_eq!(device::bf16_tflops("Tesla P40"), None); // neither
    assert_eq!(device::bf16_tflops("H100"), None);
    assert_eq!(device::bf16_tflops("no such thing"), None);
}

#[test]
fn custom_devices_have_sound_figures() {
    let device =
        Device::custom(&[(Dtype::Fp8, 4e15), (Dtype::Bf16, 2e15)], Some(8e12), Some(1 << 37));
    let device = device.expect("sound");
    assert_eq!(
        device.peaks().map(|(dtype, _)| dtype).collect::<Vec<_>>(),
        [Dtype::Bf16, Dtype::Fp8]
    );
    assert_eq!(device.peak(Dtype::Fp16).expect_err("not given").kind(), ErrorKind::Peak);
    assert!(Device::custom(&[], Some(1e9), None).is_ok(), "a bandwidth is enough for an MBU");
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for result in [
            Device::custom(&[(Dtype::Bf16, wrong)], Some(1e9), None),
            Device::custom(&[(Dtype::Bf16, 1e12)], Some(wrong), None),
        ] {
            assert_eq!(result.expect_err("wrong").kind(), ErrorKind::Measurement, "{wrong}");
        }
    }
    for result in [
        Device::custom(&[], None, Some(1)),
        Device::custom(&[(Dtype::Bf16, 1e12), (Dtype::Bf16, 2e12)], None, None),
        Device::custom(&[(Dtype::Bf16, 1e12)], None, Some(0)),
    ] {
        assert_eq!(result.expect_err("wrong").kind(), ErrorKind::Measurement);
    }
}

#[test]
fn hostile_names_get_a_short_answer() {
    let megabyte = "H100 ".repeat(200_000);
    for name in [
        megabyte.as_str(),
        &"\u{202e}".repeat(100_000),
        &"a ".repeat(128),
        &"MIG ".repeat(60),
        &"🦀".repeat(64),
        "\0\u{1b}[31mH100\u{7}",
        "\u{202e}S04L",
        "H100\u{200b} SXM",
        "Ｈ１００",
    ] {
        let error = device::find(name).expect_err("no device").to_string();
        assert!(error.chars().count() < 1_000, "{} characters", error.chars().count());
        assert!(!error.chars().any(|c| c.is_control() || c == '\u{202e}'), "{error:?}");
    }
}

/// Words that make another device of a name.
const OTHERS: [&str; 27] = [
    "Ti", "SUPER", "D", "XT", "XTX", "S", "G", "M", "Y", "X", "NVL", "PCIe", "Ada", "Laptop",
    "Mobile", "Max-Q", "Pro", "Max", "Ultra", "lite", "GRE", "SFF", "2", "64GB", "7core", "VF",
    "48Q",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_name_makes_it_panic(name in "\\PC{0,80}|[A-Za-z0-9 _.:+/()\\[\\]-]{0,300}|(H|A|L|RTX |MIG |GRID |[0-9]g\\.[0-9]gb| ){0,12}") {
        if let Ok(device) = device::find(&name) {
            prop_assert!(!device.id().is_empty());
        }
    }

    /// A name with one of those words is never the device without it.
    #[test]
    fn another_word_is_another_device(at in 0_usize..1000, word in prop::sample::select(&OTHERS[..]), glued: bool) {
        let names = recorded();
        let (name, expected) = &names[at % names.len()];
        prop_assume!(expected != "ambiguous" && expected != "unknown");
        let other = if glued { format!("{name}{word}") } else { format!("{name} {word}") };
        prop_assert!(is_another(&names, &other, word, expected), "{other}: {}", id(&other));
    }
}

/// Whether `other` is not the device `expected`, or the word is one of that device's own.
fn is_another(names: &[(String, String)], other: &str, word: &str, expected: &str) -> bool {
    let Ok(device) = device::find(other) else { return true };
    let printed = names.iter().filter(|(_, id)| id == expected).map(|(name, _)| name.as_str());
    let own: Vec<String> = printed
        .chain([device.id(), device.name()])
        .map(|name| name.to_lowercase().replace(' ', "-"))
        .collect();
    let word = word.to_lowercase();
    let has_word = |name: &String| {
        word.split('-').all(|part| name.split(|c: char| !c.is_alphanumeric()).any(|w| w == part))
    };
    let other = other.to_lowercase().replace([' ', '-'], "");
    device.id() != expected
        || own.iter().any(|name| has_word(name) || name.replace('-', "") == other)
}
