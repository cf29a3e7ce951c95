//! A count as arithmetic: each component as formula, numbers put in, result.

use crate::bytes::Bytes;
use crate::component::Component;
use crate::convention::{Convention, Rule};
use crate::error::Result;
use crate::model::{Group, Model, too_large};
use crate::op::{Form, Latent, Linear, Op, Rows};
use crate::passes::{Mask, Passes};
use crate::utilization::{Hardware, Utilization};
use crate::workload::{Phase, Sequence, Workload};

/// What no convention counts, and what no figure of bytes includes.
pub const NOT_COUNTED: &[&str] = &[
    "FLOPs of norms, activations, softmax, rotary embedding, biases, sampling and embedding look-up",
    "bytes of activations and of temporary buffers",
];

/// Lines of arithmetic under a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What the lines are about.
    pub title: String,
    /// The lines, in the order of the work.
    pub lines: Vec<Line>,
}

/// One quantity, derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is: a component and where it stands, or an auxiliary quantity.
    pub name: String,
    /// The formula in words and symbols.
    pub formula: String,
    /// The formula with the numbers put in.
    pub numbers: String,
    /// The result, digits only where it is a count.
    pub result: String,
    /// The result, where it is FLOPs: these sum to the total of the estimate.
    pub flops: Option<u128>,
}

impl Line {
    fn new(
        name: impl Into<String>,
        formula: impl Into<String>,
        numbers: impl Into<String>,
        result: impl ToString,
    ) -> Self {
        Self {
            name: name.into(),
            formula: formula.into(),
            numbers: numbers.into(),
            result: result.to_string(),
            flops: None,
        }
    }

    fn flops(name: String, factors: &[(&str, u128)]) -> Option<Self> {
        let formula: Vec<&str> = factors.iter().map(|(symbol, _)| *symbol).collect();
        let numbers: Vec<String> = factors.iter().map(|(_, value)| value.to_string()).collect();
        let result =
            factors.iter().try_fold(1_u128, |product, (_, value)| product.checked_mul(*value))?;
        let line = Self::new(name, formula.join(" · "), numbers.join(" · "), result);
        Some(Self { flops: Some(result), ..line })
    }
}

impl Model {
    /// The arithmetic of [`flops`](Self::flops), one section a sequence and phase.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn explain(&self, workload: &Workload, convention: &Convention) -> Result<Vec<Section>> {
        let mut sections = Vec::new();
        let many = workload.sequences().len() > 1;
        for (index, sequence) in workload.sequences().iter().enumerate() {
            for phase in Phase::ALL {
                let lines = match convention.rule {
                    Rule::PerParameter => self.per_parameter_lines(workload, sequence, phase),
                    Rule::Needed | Rule::ByReference => {
                        self.phase_lines(workload, sequence, phase, convention.rule)
                    }
                };
                let lines = lines.ok_or_else(too_large)?;
                if !lines.is_empty() {
                    let mut title = phase.name().to_owned();
                    if many {
                        title = format!("sequence {} · {title}", index + 1);
                    }
                    sections.push(Section { title, lines });
                }
            }
        }
        Ok(sections)
    }

    fn phase_lines(
        &self,
        workload: &Workload,
        sequence: &Sequence,
        phase: Phase,
        rule: Rule,
    ) -> Option<Vec<Line>> {
        let passes = workload.passes(sequence, phase);
        if passes.count() == 0 {
            return Some(Vec::new());
        }
        let mut lines = vec![tokens_line(passes)?];
        let rectangles = rule == Rule::ByReference;
        let sampled = workload.sampled(sequence, phase);
        if !rectangles {
            lines.push(Line::new(
                "sampled",
                "passes after which a token is sampled",
                sampled.to_string(),
                sampled,
            ));
        }
        let mut masks: Vec<Mask> = Vec::new();
        for (op, _) in self.ops() {
            let mask = match op {
                Op::Attention(op) => {
                    if rectangles {
                        op.cache_mask
                    } else {
                        op.mask
                    }
                }
                Op::Latent(_) => Mask::Causal,
                Op::Linear(_) | Op::Table(_) | Op::Vector(_) => continue,
            };
            if !masks.contains(&mask) {
                masks.push(mask);
                lines.push(pairs_line(passes, mask, rectangles)?);
            }
        }
        for group in self.groups() {
            for op in &group.ops {
                self.op_lines(op, group, passes, sampled, sequence.count, rule, &mut lines)?;
            }
        }
        Some(lines)
    }

    #[allow(clippy::too_many_arguments)] // the seven facts that one product depends on
    fn op_lines(
        &self,
        op: &Op,
        group: &Group,
        passes: Passes,
        sampled: u64,
        count: u64,
        rule: Rule,
        lines: &mut Vec<Line>,
    ) -> Option<()> {
        let name = |component: Component| {
            format!("{} · {} · {}", component.name(), group.name, op.module())
        };
        let mut push = |component: Component, factors: &[(&str, u128)]| {
            let mut factors = factors.to_vec();
            for (symbol, times) in [("layers", group.repeat), ("sequences", count)] {
                if times > 1 {
                    factors.push((symbol, times.into()));
                }
            }
            lines.push(Line::flops(name(component), &factors)?);
            Some(())
        };
        let rectangles = rule == Rule::ByReference;
        match op {
            Op::Table(_) | Op::Vector(_) => {}
            Op::Linear(linear) => {
                push(linear.component, &linear_factors(linear, passes, sampled, rectangles)?)?;
            }
            Op::Attention(op) => {
                let (symbol, pairs) = if rectangles {
                    ("squares", passes.squares(op.cache_mask)?)
                } else {
                    ("pairs", passes.pairs(op.mask)?)
                };
                let heads = ("heads", u128::from(op.heads));
                let width = |symbol, width: u64| (symbol, u128::from(width));
                push(
                    Component::AttentionScores,
                    &[("2", 2), heads, width("key width", op.qk_dim), (symbol, pairs)],
                )?;
                push(
                    Component::AttentionValues,
                    &[("2", 2), heads, width("value width", op.v_dim), (symbol, pairs)],
                )?;
            }
            Op::Latent(op) => {
                let form =
                    if rectangles { Form::Expanded } else { op.flops(1)?.cheapest(passes)?.0 };
                let parts = latent_factors(op, form, passes, rectangles)?;
                let [expansion, scores, values] = parts;
                push(Component::AttentionProjections, &expansion)?;
                push(Component::AttentionScores, &scores)?;
                push(Component::AttentionValues, &values)?;
            }
        }
        Some(())
    }

    fn per_parameter_lines(
        &self,
        workload: &Workload,
        sequence: &Sequence,
        phase: Phase,
    ) -> Option<Vec<Line>> {
        let single = Workload::batch(vec![*sequence]).ok()?;
        let single = if workload.kv_cache() { single } else { single.without_kv_cache().ok()? };
        let flops = self.flops(&single, &Convention::TWO_PT).ok()?;
        let result = flops.phase(phase).total()?;
        if result == 0 {
            return Some(Vec::new());
        }
        let p = self.nominal_parameters();
        let (prompt, generate, count) = (sequence.prompt, sequence.generate, sequence.count);
        let times =
            |numbers: String| if count > 1 { format!("{numbers} · {count}") } else { numbers };
        let (formula, numbers) = match (workload.kv_cache(), phase) {
            (true, Phase::Prefill) => ("2 · P · prompt", format!("2 · {p} · {prompt}")),
            (true, Phase::Decode) => ("2 · P · generated", format!("2 · {p} · {generate}")),
            (false, Phase::Prefill) => {
                ("P · prompt · (prompt + 1)", format!("{p} · {prompt} · ({prompt} + 1)"))
            }
            (false, Phase::Decode) => {
                let all = u128::from(prompt) + u128::from(generate);
                (
                    "P · (N · (N + 1) − prompt · (prompt + 1)), N = prompt + generated",
                    format!("{p} · ({all} · ({all} + 1) − {prompt} · ({prompt} + 1))"),
                )
            }
        };
        let line = Line::new(Component::Parameters.name(), formula, times(numbers), result);
        Some(vec![Line { flops: Some(result), ..line }])
    }
}

impl Model {
    /// The arithmetic of [`bytes`](Self::bytes): weights by how they are stored, the cache, and what each
    /// phase moves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Overflow`](crate::ErrorKind::Overflow) if a count does not fit 128 bits.
    pub fn explain_bytes(&self, workload: &Workload) -> Result<Section> {
        let bytes = self.bytes(workload)?;
        let mut stored: Vec<(&str, u128, u128)> = Vec::new();
        for (op, repeat) in self.ops() {
            let Some(storage) = op.storage() else { continue };
            let (parameters, bits) = (op.parameters(), op.stored_bits());
            let times = |count: u128| count.checked_mul(repeat.into()).ok_or_else(too_large);
            match stored.iter_mut().find(|(name, ..)| *name == storage.name()) {
                Some((_, count, sum)) => {
                    *count += times(parameters)?;
                    *sum += times(bits)?;
                }
                None => stored.push((storage.name(), times(parameters)?, times(bits)?)),
            }
        }
        let mut lines: Vec<Line> = stored
            .into_iter()
            .filter(|(_, parameters, _)| *parameters > 0)
            .map(|(name, parameters, bits)| {
                Line::new(
                    format!("weights in {name}"),
                    "parameters · bits a parameter, scales included ÷ 8",
                    format!("{parameters} · {:.6} ÷ 8", bits as f64 / parameters as f64),
                    bits.div_ceil(8),
                )
            })
            .collect();
        lines.push(Line::new("weights", "sum of the lines above", "", bytes.weights));
        for (group, op) in
            self.groups().iter().flat_map(|group| group.ops.iter().map(move |op| (group, op)))
        {
            let (formula, numbers, bits, cache) = match op {
                Op::Attention(op) => (
                    "layers · KV heads · (key + value width) · bits ÷ 8",
                    format!("{} · {} · ({} + {})", group.repeat, op.kv_heads, op.qk_dim, op.v_dim),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Latent(op) => (
                    "layers · (rank + rope) · bits ÷ 8",
                    format!("{} · ({} + {})", group.repeat, op.rank, op.rope),
                    op.cached_bits_per_token(),
                    op.cache,
                ),
                Op::Linear(_) | Op::Table(_) | Op::Vector(_) => continue,
            };
            let width = cache.matrix_bits(1, 1);
            let bits = bits.checked_mul(group.repeat.into()).ok_or_else(too_large)?;
            lines.push(Line::new(
                format!("KV cache, a token · {}", group.name),
                formula,
                format!("{numbers} · {width} ÷ 8"),
                bits.div_ceil(8),
            ));
        }
        lines.push(Line::new(
            "KV cache, at its largest",
            "each layer's bytes a token · positions kept, prompt + generated − 1 or a full window",
            "",
            bytes.kv_cache,
        ));
        for (name, traffic) in [("prefill", bytes.prefill), ("decode", bytes.decode)] {
            lines.push(Line::new(
                format!("read, {name}"),
                "weights once a pass, of E experts E·(1 − (1 − k/E)^tokens); the cache in sight",
                "",
                traffic.read,
            ));
            lines.push(Line::new(
                format!("written, {name}"),
                "the cache of new tokens",
                "",
                traffic.written,
            ));
        }
        Ok(Section { title: "bytes".into(), lines })
    }
}

/// The arithmetic of utilisation: MFU, and MBU where the bandwidth is known.
pub fn utilization_section(
    total_flops: u128,
    bytes: &Bytes,
    hardware: &Hardware,
    seconds: f64,
    utilization: &Utilization,
) -> Section {
    let devices = hardware.count;
    let mut lines = vec![Line::new(
        "MFU",
        "FLOPs ÷ (time · peak · devices)",
        format!("{total_flops} ÷ ({seconds} · {:e} · {devices})", hardware.peak.0),
        utilization.mfu,
    )];
    if let (Some(mbu), Some(bandwidth)) = (utilization.mbu, hardware.bandwidth) {
        lines.push(Line::new(
            "MBU",
            "(bytes read + written) ÷ (time · bandwidth · devices)",
            format!(
                "({} + {}) ÷ ({seconds} · {:e} · {devices})",
                bytes.read(),
                bytes.written(),
                bandwidth.0
            ),
            mbu,
        ));
    }
    Section { title: "utilization".into(), lines }
}

fn linear_factors(
    linear: &Linear,
    passes: Passes,
    sampled: u64,
    by_reference: bool,
) -> Option<Vec<(&'static str, u128)>> {
    let mut factors =
        vec![("2", 2), ("in", u128::from(linear.from)), ("out", u128::from(linear.to))];
    if let Some(experts) = linear.experts {
        factors.push(if by_reference {
            ("experts run", experts.run_by_reference.into())
        } else {
            ("experts a token", experts.active.into())
        });
    }
    factors.push(if linear.rows == Rows::Sampled && !by_reference {
        ("sampled", sampled.into())
    } else {
        ("tokens", passes.tokens()?)
    });
    Some(factors)
}

fn latent_factors(
    op: &Latent,
    form: Form,
    passes: Passes,
    rectangles: bool,
) -> Option<[Vec<(&'static str, u128)>; 3]> {
    let heads = ("heads", u128::from(op.heads));
    let (symbol, pairs) = if rectangles {
        ("squares", passes.squares(Mask::Causal)?)
    } else {
        ("pairs", passes.pairs(Mask::Causal)?)
    };
    let (tokens, key, value) = match form {
        Form::Expanded => (
            "cached and new tokens (expanded)",
            ("nope + rope", op.nope + op.rope),
            ("value", op.value),
        ),
        Form::Absorbed => {
            ("new tokens (absorbed)", ("rank + rope", op.rank + op.rope), ("rank", op.rank))
        }
    };
    let expanded = form.expanded_tokens(passes)?;
    Some([
        vec![
            ("2", 2),
            ("rank", op.rank.into()),
            heads,
            ("(nope + value)", u128::from(op.nope) + u128::from(op.value)),
            (tokens, expanded),
        ],
        vec![("2", 2), heads, (key.0, key.1.into()), (symbol, pairs)],
        vec![("2", 2), heads, (value.0, value.1.into()), (symbol, pairs)],
    ])
}

fn tokens_line(passes: Passes) -> Option<Line> {
    let tokens = passes.tokens()?;
    Some(match passes {
        Passes::Prefill { past, new } => Line::new(
            "tokens",
            "prompt − cached",
            format!("{} − {past}", u128::from(past) + u128::from(new)),
            tokens,
        ),
        Passes::Decode { count, .. } => Line::new(
            "tokens",
            "generated − 1 (the last is never fed back)",
            format!("{} − 1", u128::from(count) + 1),
            tokens,
        ),
        Passes::Recompute { first, count } => Line::new(
            "tokens",
            "Σ over passes of all tokens before the new one: n·first + n·(n − 1)/2",
            format!("{count}·{first} + {count}·({count} − 1)/2"),
            tokens,
        ),
    })
}

/// The sum of pairs, in the form that a pocket calculator takes.
fn pairs_line(passes: Passes, mask: Mask, rectangles: bool) -> Option<Line> {
    let shown = match mask {
        Mask::Causal => "causal".to_owned(),
        Mask::Sliding { window } => format!("window {window}"),
        Mask::Chunked { chunk } => format!("chunks of {chunk}"),
    };
    if rectangles {
        let squares = passes.squares(mask)?;
        let window = match mask {
            Mask::Causal => None,
            Mask::Sliding { window: size } | Mask::Chunked { chunk: size } => Some(size),
        };
        let name = format!("squares ({shown})");
        return Some(match (passes, window) {
            (Passes::Prefill { past, new }, None) => Line::new(
                name,
                "new · (cached + new)",
                format!("{new} · ({past} + {new})"),
                squares,
            ),
            (Passes::Prefill { past, new }, Some(window)) => Line::new(
                name,
                "new · (min(cached, window − 1) + new)",
                format!("{new} · (min({past}, {window} − 1) + {new})"),
                squares,
            ),
            (Passes::Decode { past, count }, window) => {
                let mask = window.map_or(Mask::Causal, |window| Mask::Sliding { window });
                let (formula, numbers) = seen(past, count, mask);
                Line::new(name, formula, numbers, squares)
            }
            (Passes::Recompute { first, count }, _) => Line::new(
                name,
                "Σ of the squares of first … first + n − 1",
                format!("Σ {first}² … {}²", u128::from(first) + u128::from(count) - 1),
                squares,
            ),
        });
    }
    let pairs = passes.pairs(mask)?;
    let name = format!("pairs ({shown})");
    Some(match passes {
        Passes::Prefill { past, new: count } | Passes::Decode { past, count } => {
            let (formula, numbers) = seen(past, count, mask);
            Line::new(name, formula, numbers, pairs)
        }
        Passes::Recompute { first, count } => Line::new(
            name,
            "Σ over prompts of first … first + n − 1 tokens of the pairs of each",
            format!("n = {count}, first = {first}"),
            pairs,
        ),
    })
}

/// What `count` tokens after `past` others see.
fn seen(past: u64, count: u64, mask: Mask) -> (String, String) {
    let rising = |past: u64, count: u64| format!("{count}·{past} + {count}·({count} + 1)/2");
    match mask {
        Mask::Causal => ("n·before + n·(n + 1)/2".into(), rising(past, count)),
        Mask::Sliding { window } => {
            // Tokens that still see everything, then tokens that see a full window.
            let inside = window.saturating_sub(past).min(count);
            let full = count - inside;
            (
                "i·before + i·(i + 1)/2 + full·window, i tokens inside the window".into(),
                format!("{} + {full}·{window}", rising(past.min(window), inside)),
            )
        }
        Mask::Chunked { chunk } => {
            let prefix = |n: u128| {
                let (whole, rest) = (n / u128::from(chunk), n % u128::from(chunk));
                format!("{whole}·{chunk}·({chunk} + 1)/2 + {rest}·({rest} + 1)/2")
            };
            (
                "S(before + n) − S(before), S(m) = chunks·chunk·(chunk + 1)/2 + rest·(rest + 1)/2"
                    .into(),
                format!(
                    "({}) − ({})",
                    prefix(u128::from(past) + u128::from(count)),
                    prefix(past.into())
                ),
            )
        }
    }
}
