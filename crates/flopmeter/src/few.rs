//! A list that nearly always has one item.

use std::ops::{Deref, DerefMut};

/// Items in order, of which one alone takes no memory beside its own: a request is counted in less time than
/// asking for memory takes.
#[derive(Debug, Clone)]
pub(crate) enum Few<T> {
    One(T),
    Any(Vec<T>),
}

impl<T> Few<T> {
    pub const NONE: Self = Self::Any(Vec::new());
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Any(items) => items,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(item) => std::slice::from_mut(item),
            Self::Any(items) => items,
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        match (items.next(), items.next()) {
            (Some(item), None) => Self::One(item),
            (first, second) => Self::Any(first.into_iter().chain(second).chain(items).collect()),
        }
    }
}

/// However they are held.
impl<T: PartialEq> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Few<T> {}
