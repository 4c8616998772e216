//! The values of a task's context variables.
//!
//! They are a short list behind an [`Rc`], which a task shares with the tasks that it spawns until
//! one of them changes its own. So spawning costs a reference count, and nothing if there are no
//! values.

use std::any::Any;
use std::mem;
use std::rc::Rc;

/// The values of a task. Never empty in a header: a task without values has none.
pub(super) type Values = Rc<Vec<Value>>;

#[derive(Clone)]
pub(super) struct Value {
    variable: u64,
    value: Rc<dyn Any>,
}

/// The value of a variable.
pub(super) fn find(values: &[Value], variable: u64) -> Option<Rc<dyn Any>> {
    let found = values.iter().find(|value| value.variable == variable)?;
    Some(Rc::clone(&found.value))
}

/// Replaces the value of a variable, or removes it, and returns the former one.
pub(super) fn replace(
    values: &mut Vec<Value>,
    variable: u64,
    value: Option<Rc<dyn Any>>,
) -> Option<Rc<dyn Any>> {
    let position = values.iter().position(|value| value.variable == variable);
    match (position, value) {
        (Some(position), Some(value)) => Some(mem::replace(&mut values[position].value, value)),
        (Some(position), None) => Some(values.swap_remove(position).value),
        (None, Some(value)) => {
            values.push(Value { variable, value });
            None
        }
        (None, None) => None,
    }
}
