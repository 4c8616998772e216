//! How often random tests do what they do.

use std::ops::Div;

/// The count, or a hundredth of it under Miri, which takes a thousand times as long for each.
pub(crate) fn rounds<T: Div<Output = T> + From<u8>>(count: T) -> T {
    if cfg!(miri) { count / T::from(100) } else { count }
}
