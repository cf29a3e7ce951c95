//! Every command on every built-in model and on every device ends in an answer or in an error that says
//! what is missing. None panics.

mod run;

use flopmeter::device::{self, Device};
use flopmeter::{Builtin, Convention, ErrorKind, Hardware, Phase, Sequence, Workload};
use run::{Place, Report, Run};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Does the same to every item, on as many threads as there are processors.
fn each<T: Sync>(items: &[T], work: impl Fn(&Place, &T) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let place = Place::with_llama();
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(&place, item);
                }
            });
        }
    });
}

/// An answer, or an error on one line whose fact is that no such figure is known.
#[track_caller]
fn answer_or_no_peak(run: Run, what: &str) -> Option<String> {
    if run.code == Some(0) {
        return Some(run.ok());
    }
    let (message, candidates) = run.failure();
    let known = ["peak is known", "is unknown"].iter().any(|fact| message.contains(fact));
    assert!(known && candidates.is_empty(), "{what}: {message}");
    None
}

#[test]
fn every_command_on_every_model() {
    let models = Builtin::all();
    assert!(models.len() >= 150, "{} models", models.len());
    let h100 = device::find("nvidia-h100-sxm-80gb").expect("a device");
    let measured = AtomicUsize::new(0);
    let numbered: Vec<_> = models.iter().enumerate().collect();
    each(&numbered, |place, (at, row)| {
        let id = row.id;
        let model = row.model().expect("a model");
        // An encoder generates nothing.
        let generate = if model.generates() { 100 } else { 1 };
        let request = &format!("-p 1000 -g {generate} --batch 2");
        let report: Report = place.run(&format!("estimate {id} {request} --format json")).json();
        assert_eq!(report.model.id, id);
        assert_eq!(report.flops.components.values().sum::<u128>(), report.flops.total, "{id}");
        assert!(report.flops.prefill > 0, "{id}");
        assert_eq!(report.flops.decode > 0, generate > 1, "{id}");
        assert!(
            generate == 1 || report.bytes.read > report.bytes.weights,
            "{id}: 100 passes read less than once all"
        );
        // Every active weight multiplies each token once, but for tables and the head; what attention
        // and a tied head add is at most as much again, and a half.
        let parameters = &report.model.parameters;
        let multiplied = parameters.active.saturating_sub(2 * parameters.embedding) as f64;
        let per_token = report.flops.prefill as f64 / 2000.0 / 2.0;
        // A prompt that an encoder reads passes that alone, and one beside sound is not all that is read.
        if model.stacks().is_empty() {
            assert!(per_token > 0.9 * multiplied, "{id}: {per_token} of {multiplied}");
            assert!(
                per_token < 2.5 * parameters.active as f64,
                "{id}: {per_token} of {parameters:?}"
            );
        }

        let explained = place.run(&format!("explain {id} {request}")).ok();
        assert!(explained.contains(&report.flops.total.to_string()), "{id}");
        assert!(place.run(&format!("models {id}")).ok().contains(&report.model.model_type), "{id}");

        // The reference leaves nothing out that the work needs.
        let workload =
            Workload::batch(vec![Sequence { count: 2, ..Sequence::new(1000, generate) }]);
        let workload = workload.expect("a batch");
        let count = |convention| model.flops(&workload, convention).expect("a count").total;
        assert_eq!(count(&Convention::MODEL), report.flops.total, "{id}");
        assert!(count(&Convention::TORCH) >= count(&Convention::MODEL), "{id}");
        assert_eq!(
            count(&Convention::TWO_PT),
            2 * model.nominal_parameters() * 2 * (1000 + u128::from(generate)),
            "{id}"
        );

        // The device's table takes long to read in a debug build: through the command now and then only.
        let peak = h100.peak(model.quantization().compute);
        if at % 8 == 0 {
            let line = format!("mfu {id} {request} --time 60 --device nvidia-h100-sxm-80gb");
            let said = answer_or_no_peak(place.run(&line), id);
            assert_eq!(said.is_some(), peak.is_ok(), "{id}");
        }
        let Ok(peak) = peak else { return };
        let hardware = Hardware::new(peak, h100.bandwidth().ok(), 8).expect("hardware");
        let whole: f64 = Phase::ALL
            .map(|phase| model.ideal(&workload, phase, &hardware))
            .map(|ideal| ideal.expect("an answer").expect("a bandwidth").seconds)
            .iter()
            .sum();
        assert!(whole > 0.0 && whole.is_finite(), "{id}");
        measured.fetch_add(1, Ordering::Relaxed);
    });
    // What an H100 has no peak for (FP4) are few.
    assert!(measured.into_inner() * 10 > models.len() * 9);
}

#[test]
fn every_command_on_every_device() {
    let devices = Device::all();
    assert!(devices.len() >= 200, "{} devices", devices.len());
    let measured = AtomicUsize::new(0);
    each(devices, |place, device| {
        let id = device.id();
        assert_eq!(device::find(id).map(|found| found.id().to_owned()), Ok(id.to_owned()));
        // A small model and a mixture of experts.
        for line in [
            "utilization llama.json -p 100 -g 10 --time 100 --format json",
            "utilization mixtral-8x7b -p 100 -g 10 --time 100 --format json",
        ] {
            let Some(out) = answer_or_no_peak(place.run(&format!("{line} --device {id}")), id)
            else {
                continue;
            };
            let report: Report = serde_json::from_str(&out).expect("a report");
            measured.fetch_add(1, Ordering::Relaxed);
            assert_eq!(report.device.expect("asked for").id, id);
            let utilization = report.utilization.expect("asked for");
            let mfu = utilization.mfu.expect("a time was given");
            // 110 tokens of at most 13 billion active parameters in 100 s: nothing does so little.
            assert!(mfu > 0.0 && mfu < 1.0, "{id}: {mfu}");
            assert_eq!(utilization.mbu.is_some(), device.bandwidth().is_ok(), "{id}");
            assert_eq!(utilization.ideal_seconds.is_some(), device.bandwidth().is_ok(), "{id}");
            let seconds = utilization.ideal_seconds.unwrap_or(1.0);
            assert!(seconds > 0.0 && seconds.is_finite(), "{id}");
        }
    });
    // Two models each; those without a BF16 peak are the minority.
    assert!(measured.into_inner() > devices.len());
    // One process for all, in every format: a row each, and a title, headings and blanks.
    for (format, extra) in [("table", 4), ("csv", 1), ("markdown", 5)] {
        let out = Place::new().run(&format!("devices --format {format}")).ok();
        assert_eq!(out.lines().count(), devices.len() + extra, "{format}");
        for device in devices {
            assert!(out.contains(device.id()), "{format}: {}", device.id());
        }
    }
}

#[test]
fn every_name_of_a_model_finds_it() {
    let mut seen = BTreeSet::new();
    for model in Builtin::all() {
        for name in model.names() {
            assert!(seen.insert(name.to_lowercase()), "{name} names two models");
            let found = Builtin::find(&name.to_uppercase()).map(|found| found.id);
            assert_eq!(found, Ok(model.id), "{name}");
        }
    }
}

#[test]
fn every_name_for_people_finds_its_device_or_lists_it() {
    for device in Device::all() {
        match device::find(device.name()) {
            Ok(found) => assert_eq!(found.id(), device.id(), "{}", device.name()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
                let listed = error.candidate_list().iter().any(|line| line.contains(device.id()));
                assert!(listed, "{}: {error}", device.name());
            }
        }
    }
}
