//! Published bandwidths of decoding: what one device reads for a token, as its source counts it, times its tokens a second.

use flopmeter::op::{Attention, Linear, Op};
use flopmeter::{Builtin, Component, Convention, Dtype, Model, Parallelism, Workload};
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

/// A row of `published/bandwidth/gpt-fast.csv`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    row: String,
    model: String,
    /// Ranks that share every layer but the head, which each has whole.
    devices: u64,
    dtype: Dtypes,
    #[allow(dead_code, reason = "for the reader of the table")]
    device: String,
    /// Tokens a second.
    throughput: f64,
    /// GB/s of a device, as printed.
    gigabytes: f64,
    besides: Besides,
    /// Why it does not come out.
    why: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Dtypes {
    Bf16,
    Int8,
    Int4,
}

/// What gpt-fast counts beside layers, head and norms.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Besides {
    /// Until May 2024 the table of tokens, in 16 bits.
    Embedding,
    /// Since then buffers of keys and values, of 5 + 200 tokens, rounded up to a multiple of 8.
    Cache,
}

const BUFFERS: u128 = 208;
/// How far a bandwidth may be from the printed one.
const TOLERANCE: f64 = 0.002;

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/published/bandwidth/gpt-fast.csv");
    let mut reader = csv::Reader::from_path(path).expect("a table");
    reader.deserialize().collect::<Result<_, _>>().expect("rows")
}

impl Row {
    fn model(&self) -> Model {
        Builtin::find(&self.model).and_then(Builtin::model).expect("a model")
    }

    /// Bytes that gpt-fast says a device reads for a token.
    fn counted(&self) -> u128 {
        let model = self.model();
        let mut bytes = 0;
        for group in model.groups() {
            for op in &group.ops {
                bytes += u128::from(group.repeat) * self.of(op);
            }
        }
        bytes
    }

    fn of(&self, op: &Op) -> u128 {
        let ranks = u128::from(self.devices);
        match (op, self.besides) {
            (Op::Linear(linear), _) => {
                let whole = self.weights(linear);
                if linear.component == Component::Head { whole } else { whole / ranks }
            }
            (Op::Vector(norm), _) if !norm.buffer => 2 * u128::from(norm.elements),
            (Op::Table(_), Besides::Embedding) => 2 * op.parameters(),
            (Op::Attention(Attention { kv_heads, qk_dim, v_dim, .. }), Besides::Cache) => {
                let token = 2 * u128::from(*kv_heads) * u128::from(qk_dim + v_dim);
                BUFFERS * token / ranks
            }
            _ => 0,
        }
    }

    /// A matrix: in int8 with a scale of 16 bits for each row, in int4 with two, 4 bytes, for each 32 elements.
    fn weights(&self, linear: &Linear) -> u128 {
        let (rows, elements) =
            (u128::from(linear.to), u128::from(linear.from) * u128::from(linear.to));
        match self.dtype {
            Dtypes::Bf16 => 2 * elements,
            Dtypes::Int8 => elements + 2 * rows,
            Dtypes::Int4 => elements / 2 + 4 * elements / 32,
        }
    }

    /// Bytes that the busiest rank reads for a token by flopmeter: every matrix cut, the cache as far as it is seen.
    fn needed(&self) -> f64 {
        let dtype = match self.dtype {
            Dtypes::Bf16 => Dtype::Bf16,
            Dtypes::Int8 => Dtype::Int8,
            Dtypes::Int4 => Dtype::Int4,
        };
        let model = self.model().with_dtype(dtype).with_cache_dtype(Dtype::Bf16);
        let request = Workload::request(5, 200);
        let plan = Parallelism { tensor: self.devices, ..Parallelism::NONE };
        let split = model.split(&plan).expect("a split");
        let ranks = split.ranks(&request, &Convention::MODEL).expect("ranks");
        let read = ranks.iter().map(|rank| rank.bytes.decode.read).max().expect("a rank");
        read as f64 / 199.0
    }

    fn recomputed(&self) -> f64 {
        self.counted() as f64 * self.throughput / 1e9
    }

    fn off(&self) -> f64 {
        self.recomputed() / self.gigabytes - 1.0
    }
}

#[test]
fn every_bandwidth_comes_out_or_says_why_not() {
    let rows = rows();
    for row in &rows {
        assert_eq!(
            row.off().abs() <= TOLERANCE,
            row.why.is_empty(),
            "{}: {:+.5}",
            row.row,
            row.off()
        );
    }
    assert!(rows.iter().filter(|row| row.why.is_empty()).count() * 100 >= rows.len() * 94);
}

/// The section of `docs/published.md`.
pub fn section() -> String {
    let rows = rows();
    let out = rows.iter().filter(|row| row.why.is_empty()).count();
    let mut text = format!(
        "\n<a id=\"gpt-fast\"></a>\n\n## Bandwidth of decoding: gpt-fast\n\n\
         [README at commit 6ecad9b5](https://github.com/meta-pytorch/gpt-fast/blob/6ecad9b5/README.md), 5 tokens of prompt and \
         200 that are generated, one sequence. GB/s of a device = what it reads for a token · tokens a second, where each of \
         the tensor ranks has its part of the layers and the whole head, norms, and scales of quantised weights (int8: 16 bits \
         a row; int4: 4 bytes for 32). The page's rows are of two states of the code: until May 2024 it added the table of \
         tokens, since then buffers of keys and values for 208 positions. **{out} of {} rows reproduce within 0.2 %.** What \
         flopmeter itself counts, and takes for MBU, is beside: the head is cut as well, one row of the table is read, and of \
         the cache what a token sees; scales are those of the file, of which a dtype alone says none.\n\n\
         | row | tokens/s | printed | recomputed | off by | counted besides | by flopmeter | why |\n\
         | --- | ---: | ---: | ---: | ---: | --- | ---: | --- |\n",
        rows.len()
    );
    for row in &rows {
        let besides = match row.besides {
            Besides::Embedding => "table of tokens",
            Besides::Cache => "208 positions",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} GB/s | {:.2} | {:+.2} % | {besides} | {:.1} GB/s | {} |",
            row.row,
            row.throughput,
            row.gigabytes,
            row.recomputed(),
            100.0 * row.off(),
            row.needed() * row.throughput / 1e9,
            row.why
        );
    }
    text
}
