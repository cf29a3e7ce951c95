//! Groups of equal layers.

use crate::error::Result;
use crate::op::Op;

/// Equal layers, or what stands before or after all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// `embedding`, `layers 0–2`, `layers 3, 7, 11`, `head`.
    pub name: String,
    /// How many there are.
    pub repeat: u64,
    /// Which layers they are, counted from 0; empty for what stands outside them.
    pub layers: Vec<u64>,
    /// What one of them does, in order.
    pub ops: Vec<Op>,
}

/// Every op of some groups with how often it occurs.
pub(super) fn ops<'g>(
    groups: impl Iterator<Item = &'g Group>,
) -> impl Iterator<Item = (&'g Op, u64)> {
    groups.flat_map(|group| group.ops.iter().map(|op| (op, group.repeat)))
}

/// How many layers some groups have together.
pub(crate) fn layer_count(groups: &[Group]) -> u64 {
    groups.iter().map(|group| group.layers.len() as u64).sum()
}

/// Groups with other ops in each layer and in what stands outside; layers that are equal then are one group.
pub(super) fn with_ops(
    groups: &[Group],
    other: &mut impl FnMut(Option<u64>, &[Op]) -> Result<Vec<Op>>,
) -> Result<Vec<Group>> {
    with_ops_of_alike(groups, |_, _| false, other)
}

/// The same where `other` makes the same of equal layers that are `alike`, each and the next of its group: it is asked
/// of the first of them only, so that what this costs does not grow with layers.
pub(super) fn with_ops_of_alike(
    groups: &[Group],
    alike: impl Fn(u64, u64) -> bool,
    other: &mut impl FnMut(Option<u64>, &[Op]) -> Result<Vec<Op>>,
) -> Result<Vec<Group>> {
    let mut with: Vec<Group> = Vec::new();
    for group in groups {
        if group.layers.is_empty() {
            with.push(Group { ops: other(None, &group.ops)?, ..group.clone() });
        }
        let from = with.len();
        for layers in group.layers.chunk_by(|one, next| alike(*one, *next)) {
            add_layers(&mut with, from, layers, other(layers.first().copied(), &group.ops)?);
        }
    }
    name_layers(&mut with);
    Ok(with)
}

/// Adds layers of the same ops to the groups from `from` on; equal ones are kept once. Which group they are of.
pub(super) fn add_layers(
    groups: &mut Vec<Group>,
    from: usize,
    layers: &[u64],
    ops: Vec<Op>,
) -> usize {
    match groups[from..].iter().position(|group| group.ops == ops) {
        Some(at) => {
            groups[from + at].add(layers);
            from + at
        }
        None => {
            let repeat = layers.len() as u64;
            groups.push(Group { name: String::new(), repeat, layers: layers.to_vec(), ops });
            groups.len() - 1
        }
    }
}

impl Group {
    /// More layers of the same ops.
    pub(super) fn add(&mut self, layers: &[u64]) {
        self.repeat += layers.len() as u64;
        self.layers.extend(layers);
    }
}

/// Names groups of layers by which they are.
pub(super) fn name_layers(groups: &mut [Group]) {
    for group in groups.iter_mut().filter(|group| !group.layers.is_empty()) {
        group.name = layer_names(&group.layers);
    }
}

/// `layers 0–2, 5` for [0, 1, 2, 5]; of many runs the first few, and how many layers there are.
pub(crate) fn layer_names(members: &[u64]) -> String {
    const SHOWN: usize = 3;
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &index in members {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let run = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}–{last}") }
    };
    let named: Vec<String> = runs.iter().take(SHOWN).map(run).collect();
    match (members, runs.len()) {
        ([only], _) => format!("layer {only}"),
        (_, count) if count <= SHOWN => format!("layers {}", named.join(", ")),
        _ => format!("{} layers {}, …", members.len(), named.join(", ")),
    }
}
