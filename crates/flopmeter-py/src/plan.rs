//! How a model is cut, as Python's callers ask for it.

use crate::error::Result;
use crate::keywords::Keywords;
use flopmeter::Parallelism;

/// Into how many parts: the command's options.
pub const SIZES: &[&str] =
    &["tp", "pp", "dp", "cp", "dcp", "ep", "etp", "sp", "virtual_stages", "stages"];

/// The plan and the layers of each stage where they are given; nothing if nothing is cut.
pub fn plan(keywords: &Keywords<'_>, zero: u64) -> Result<Option<(Parallelism, Vec<u64>)>> {
    let size = |name| Ok::<_, crate::error::Failure>(keywords.number(name)?.unwrap_or(1));
    let sizes = Parallelism {
        data: size("dp")?,
        context: size("cp")?,
        tensor: size("tp")?,
        decode_context: size("dcp")?,
        sequence: keywords.holds("sp")?,
        zero,
        pipeline: 1,
        virtual_stages: size("virtual_stages")?,
        expert: size("ep")?,
        expert_tensor: keywords.number("etp")?,
    };
    let stages = keywords.numbers("stages")?.unwrap_or_default();
    Ok(flopmeter_report::plan(sizes, keywords.number("pp")?, stages))
}
