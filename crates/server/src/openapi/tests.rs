//! Holds the document, the readers and the routes together.
