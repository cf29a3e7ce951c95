//! The op that a tensor is.

use crate::component::Component;
use crate::error::{Error, ErrorKind, Result, shown};
use crate::op::{Experts, Linear, Op, Table, Vector};
use crate::weights::Part;

/// A table that tokens are looked up in.
pub fn table(part: &Part<'_>) -> Op {
    Op::Table(Table {
        module: part.known_as("table"),
        rows: part.rows(),
        width: part.columns(),
        looked_up: 1,
        shared: false,
        storage: part.storage,
    })
}

/// A matrix that is multiplied by.
pub fn linear(part: &Part<'_>, module: &'static str, component: Component) -> Result<Linear> {
    let (mut to, mut from) = (part.rows(), part.columns());
    let bias =
        u64::try_from(part.bias).map_err(|_| at_part(part, "has a bias that is too long"))?;
    // GPT-2 keeps its matrices the other way round.
    if bias == from && bias != to {
        (to, from) = (from, to);
    }
    let linear = Linear::new(module, component, from, to);
    Ok(Linear { bias, bias_bits: part.bias_bits, storage: part.storage, ..linear })
}

/// A vector; a buffer is stored and no parameter.
pub fn vector(part: &Part<'_>, buffer: bool) -> Op {
    let elements = u64::try_from(part.elements() + part.bias).unwrap_or(u64::MAX);
    Op::Vector(Vector { module: part.known_as("vector"), elements, storage: part.storage, buffer })
}

/// A matrix of every expert, of which there are `copies`.
pub fn expert(part: &Part<'_>, copies: u64, experts: Option<Experts>) -> Result<Op> {
    let experts = match experts {
        Some(experts) if experts.total == copies => experts,
        // Experts that every token runs through, or that another layer has more of.
        Some(experts) => Experts::routed(experts.active.min(copies), copies),
        None => Experts::routed(copies, copies),
    };
    if !part.alike {
        return Err(at_part(part, "is not of one shape for all experts"));
    }
    let from = part.columns();
    let to = u64::try_from(part.elements_of_copy(copies) / u128::from(from.max(1)))
        .map_err(|_| at_part(part, "has more rows than are believed"))?;
    let op = Linear::new(part.known_as("expert"), Component::MoeExperts, from, to);
    let bias = u64::try_from(part.bias / u128::from(copies)).unwrap_or(0);
    Ok(Linear { bias, bias_bits: part.bias_bits, storage: part.storage, ..op.experts(experts) }
        .into())
}

fn at_part(part: &Part<'_>, fact: &str) -> Error {
    Error::new(ErrorKind::Weights, format!("tensor `{}`", shown(part.module)), fact)
}
