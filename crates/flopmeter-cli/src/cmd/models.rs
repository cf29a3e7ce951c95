//! `flopmeter models`: what is built in, or what is known of one model.

use crate::args::ModelsArgs;
use crate::output;
use flopmeter::op::Op;
use flopmeter::units::Si;
use flopmeter::{Builtin, Group, Model, Result, Workload};
use flopmeter_report::render::{Block, Column, Document};
use flopmeter_report::report::ModelReport;
use flopmeter_source as source;
use serde::Serialize;

/// The JSON of `models` without a name.
#[derive(Debug, Serialize)]
struct List {
    models: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    model_type: &'static str,
    parameters: u128,
    active_parameters: u128,
    ollama: Vec<&'static str>,
    aliases: Vec<&'static str>,
}

/// The JSON of `models NAME`.
#[derive(Debug, Serialize)]
struct One {
    #[serde(flatten)]
    model: ModelReport,
    dtype: &'static str,
    weight_bytes: u128,
    kv_cache_bytes_per_token: u128,
    layers: Vec<Layers>,
    ollama: Vec<&'static str>,
    aliases: Vec<&'static str>,
    source: Option<&'static str>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Layers {
    name: String,
    repeat: u64,
    parameters: u128,
    ops: Vec<&'static str>,
}

pub fn run(args: &ModelsArgs) -> Result<String> {
    match &args.model {
        Some(name) => one(name, args),
        None => list(args),
    }
}

fn list(args: &ModelsArgs) -> Result<String> {
    // What the rows state: building every model would take ten times as long.
    let rows = Builtin::all().iter().map(|row| Row {
        id: row.id,
        model_type: row.model_type(),
        parameters: row.parameters,
        active_parameters: row.active_parameters(),
        ollama: row.ollama.clone(),
        aliases: row.aliases.clone(),
    });
    let list = List { models: rows.collect() };
    let cells = |row: &Row| {
        vec![
            row.id.to_owned(),
            row.model_type.to_owned(),
            row.parameters.to_string(),
            row.active_parameters.to_string(),
            row.ollama.join(" "),
        ]
    };
    let table = Block {
        title: String::new(),
        columns: vec![
            Column::text("id"),
            Column::text("model_type"),
            Column::number("parameters"),
            Column::number("active"),
            Column::text("ollama"),
        ],
        rows: list.models.iter().map(cells).collect(),
    };
    let head = vec![format!("{} built-in models", list.models.len())];
    let document = Document { head, blocks: vec![table], notes: Vec::new() };
    output::document(&document, &list, args.output.format)
}

fn one(name: &str, args: &ModelsArgs) -> Result<String> {
    let source = source::find(name)?;
    let model = &source.model;
    let bytes = model.bytes(&Workload::request(1, 1))?;
    let row = source.builtin;
    let mut notes = source.notes.clone();
    notes.extend_from_slice(model.notes());
    notes.extend(model.unread().iter().map(|key| format!("key not read: `{key}`")));
    let one = One {
        model: ModelReport::of(&source),
        dtype: model.quantization().dtype.name(),
        weight_bytes: bytes.weights,
        kv_cache_bytes_per_token: bytes.kv_cache_per_token,
        layers: layers(model),
        ollama: row.map(|row| row.ollama.clone()).unwrap_or_default(),
        aliases: row.map(|row| row.aliases.clone()).unwrap_or_default(),
        source: row.map(|row| row.source),
        notes,
    };
    output::document(&document(&one), &one, args.output.format)
}

/// Every group of layers; of those that run before the decoder with what they are called.
fn layers(model: &Model) -> Vec<Layers> {
    let described = |name: String, group: &Group| Layers {
        name,
        repeat: group.repeat,
        parameters: group.ops.iter().map(Op::parameters).sum(),
        ops: group.ops.iter().map(Op::module).collect(),
    };
    let before = model.stacks().iter().flat_map(|stack| {
        let name = |group: &Group| format!("{} · {}", stack.name(), group.name);
        stack.groups().iter().map(move |group| described(name(group), group))
    });
    let decoder = model.groups().iter().map(|group| described(group.name.clone(), group));
    before.chain(decoder).collect()
}

fn document(one: &One) -> Document {
    let parameters = &one.model.parameters;
    let facts = [
        ("model_type", one.model.model_type.clone()),
        ("parameters", parameters.total.to_string()),
        ("active parameters", parameters.active.to_string()),
        ("embedding parameters", parameters.embedding.to_string()),
        ("non-embedding parameters", parameters.non_embedding.to_string()),
        ("dtype", one.dtype.to_owned()),
        ("weights", format!("{} bytes, {}B", one.weight_bytes, Si(one.weight_bytes as f64))),
        ("KV cache, a token", format!("{} bytes", one.kv_cache_bytes_per_token)),
        ("Ollama", one.ollama.join(" ")),
        ("also called", one.aliases.join(" ")),
        ("source", one.source.unwrap_or_default().to_owned()),
    ];
    let facts = Block {
        title: String::new(),
        columns: vec![Column::text("fact"), Column::text("value")],
        rows: facts
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(fact, value)| vec![fact.to_owned(), value])
            .collect(),
    };
    let cells = |group: &Layers| {
        vec![
            group.name.clone(),
            group.repeat.to_string(),
            group.parameters.to_string(),
            group.ops.join(" "),
        ]
    };
    let layers = Block {
        title: "layers".into(),
        columns: vec![
            Column::text("group"),
            Column::number("repeat"),
            Column::number("parameters of one"),
            Column::text("ops"),
        ],
        rows: one.layers.iter().map(cells).collect(),
    };
    let head = vec![one.model.id.clone()];
    Document { head, blocks: vec![facts, layers], notes: one.notes.clone() }
}
