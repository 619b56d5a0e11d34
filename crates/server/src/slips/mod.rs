//! What people get wrong about where this server is and what it is: the sentence that says what to change.

pub(crate) mod key;
pub(crate) mod path;
pub(crate) mod tls;

#[cfg(test)]
mod tests;
