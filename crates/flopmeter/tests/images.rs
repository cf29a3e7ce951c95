//! The `torch` convention equals PyTorch's counter on models that read images, and images are cut as the models' own
//! processors cut them.
//!
//! The recordings lie in `tests/recorded/images`; the README beside it says how they were made.

mod counter;

use counter::{Pass, difference, less};
use flopmeter::image::Image;
use flopmeter::{Config, Convention, Model, Sequence, Workload};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Recording {
    config: Value,
    preprocessor: Value,
    parameters: BTreeMap<String, u128>,
    cuts: Vec<Cut>,
    runs: Vec<Run>,
}

/// What a processor made of one image; an error if it refused.
#[derive(Deserialize)]
struct Cut {
    width: u64,
    height: u64,
    #[serde(default)]
    tokens: u64,
    error: Option<String>,
    #[serde(default)]
    pixels: Vec<u64>,
    image_grid_thw: Option<[u64; 3]>,
    aspect_ratio_mask: Option<Vec<u64>>,
    /// Rows and columns of patches of all that the tower sees.
    spatial_shapes: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct Run {
    batch: u64,
    images: Vec<[u64; 2]>,
    /// Tokens of the prompt that are no image's.
    text: u64,
    passes: Vec<Pass>,
}

fn recordings() -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/images");
    let found = counter::recordings(&folder, &[]);
    assert!(found.len() >= 64, "{}", found.len());
    found
}

fn model(recording: &Recording) -> Model {
    let config = Config::from_value(recording.config.clone()).expect("an object");
    let beside = Config::from_value(recording.preprocessor.clone()).expect("an object");
    Model::from_config(&config.with_preprocessor(beside)).expect("a model")
}

fn image([width, height]: [u64; 2]) -> Image {
    Image::new(width, height).expect("an image")
}

#[test]
fn images_are_cut_as_the_models_own_processors_cut_them() {
    let (mut cuts, mut wrong) = (0, Vec::new());
    for (name, recording) in recordings() {
        let model = model(&recording);
        for recorded in &recording.cuts {
            cuts += 1;
            let at = format!("{name}: {}x{}", recorded.width, recorded.height);
            let cut = match (model.cut(image([recorded.width, recorded.height])), &recorded.error) {
                (Ok(cut), None) => cut,
                (Err(_), Some(_)) => continue,
                (ours, theirs) => {
                    wrong.push(format!("{at}: {ours:?} where the processor has {theirs:?}"));
                    continue;
                }
            };
            if cut.tokens != recorded.tokens {
                wrong.push(format!("{at}: {} tokens not {}", cut.tokens, recorded.tokens));
            }
            if let Some(shapes) = &recorded.spatial_shapes {
                let repeated = |(piece, count): ([u64; 2], u64)| (0..count).map(move |_| piece);
                let mut ours: Vec<[u64; 2]> = cut.pieces().flat_map(repeated).collect();
                let mut theirs: Vec<[u64; 2]> = shapes.as_chunks().0.to_vec();
                ours.sort_unstable();
                theirs.sort_unstable();
                if ours != theirs {
                    wrong.push(format!("{at}: {ours:?} not {theirs:?}"));
                }
                continue;
            }
            let (ours, theirs) = match (&recorded.image_grid_thw, &recorded.aspect_ratio_mask) {
                (Some([_, rows, columns]), _) => ([cut.rows, cut.columns], [*rows, *columns]),
                (None, Some(mask)) => ([cut.tiles, 0], [mask.iter().sum(), 0]),
                (None, None) => match recorded.pixels[..] {
                    // Of several tiles, each the same square.
                    [1, tiles, 3, ..] | [tiles, 3, _, _] if tiles > 1 => {
                        ([cut.pieces().map(|(_, count)| count).sum(), 0], [tiles, 0])
                    }
                    // The recorded patches have sides of 4 pixels.
                    [.., 3, height, width] => ([cut.rows, cut.columns], [height / 4, width / 4]),
                    ref other => panic!("{at}: pixels of {other:?}"),
                },
            };
            if ours != theirs {
                wrong.push(format!("{at}: {ours:?} not {theirs:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {cuts}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(cuts > 6000, "{cuts}");
}

#[test]
fn torch_equals_the_counter_on_every_recording() {
    let mut wrong = Vec::new();
    for (name, recording) in recordings() {
        let model = model(&recording);
        let parameters = model.parameters().total;
        // A tower that hears, and is not counted.
        let beside = recording.parameters.get("beside").copied().unwrap_or(0);
        let recorded = recording.parameters["total"] - beside;
        if parameters != recorded {
            wrong.push(format!("{name}: {parameters} parameters not {recorded}"));
        }
        for run in &recording.runs {
            let count = |generate: u64| {
                let sequence = Sequence { prompt: run.text, cached: 0, generate, count: run.batch };
                let images = run.images.iter().copied().map(image).collect();
                let workload = Workload::batch(vec![sequence]).expect("a workload");
                let workload = workload.with_images(images).expect("a workload");
                model.flops(&workload, &Convention::TORCH).expect("a count")
            };
            let first = run.passes[0].new;
            for (step, pass) in (1_u64..).zip(&run.passes) {
                let at = format!("{name}: {:?}, batch {}, pass {step}", run.images, run.batch);
                let counts = if step == 1 {
                    assert_eq!(pass.past, 0);
                    count(1).prefill
                } else {
                    assert_eq!((pass.past, pass.new), (first + step - 2, 1));
                    less(&count(step).decode, &count(step - 1).decode)
                };
                wrong.extend(difference(&counts, pass).map(|what| format!("{at}: {what}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
