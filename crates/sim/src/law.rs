//! How a law is judged: what must hold, and the sentence that says where it does not.

/// A law is broken: returns the sentence as the error.
macro_rules! law {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(crate) use law;
