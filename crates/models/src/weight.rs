//! How much memory a JSON text takes once it is read: looked at before it is, since a few bytes of it can
//! become many.

/// Bytes that what is read at once from a provider may take.
pub(crate) const READ_BYTES: usize = 128 * 1024 * 1024;
/// Bytes that a value takes beside its text, at most: an entry of an object, with its key and its place.
const VALUE_BYTES: usize = 192;

/// Whether `json` may be read: what it comes to takes at most [`READ_BYTES`].
pub(crate) fn is_readable(json: &[u8]) -> bool {
    // No text is that dense.
    json.len().saturating_mul(VALUE_BYTES) <= READ_BYTES || weight(json) <= READ_BYTES
}

/// Each value but the first stands behind one of these, outside of strings.
fn weight(json: &[u8]) -> usize {
    let (mut values, mut in_string, mut escaped) = (1_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    json.len().saturating_add(values.saturating_mul(VALUE_BYTES))
}

/// How deep objects and arrays lie in each other in a text that is JSON.
pub(crate) fn depth(json: &str) -> usize {
    let (mut deepest, mut depth, mut in_string, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_of_what_lies_in_each_other_outside_of_texts() {
        for (json, deep) in
            [("7", 0), ("[]", 1), (r#"[[],{},{"a":[]}]"#, 3), (r#"{"[[":"[[\"[[","a":"\\"}"#, 1)]
        {
            assert_eq!(depth(json), deep, "{json}");
        }
    }

    #[test]
    fn what_is_large_is_readable_and_what_becomes_large_is_not() {
        let text = format!("{{\"text\":\"{}\\\"[,\"}}", "[,{".repeat(10 * 1024 * 1024));
        assert!(is_readable(text.as_bytes()));
        let dense = format!("[{}[]]", "[],".repeat(1024 * 1024));
        assert!(!is_readable(dense.as_bytes()));
        assert!(is_readable(&dense.as_bytes()[..512 * 1024]));
    }

    #[test]
    fn a_value_is_never_larger_than_it_is_taken_for() {
        let json = r#"{"a":[1,2,{"b":"c","d":{}}],"e":[[],[]]}"#;
        let value: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert!(protocol::memory::value(&value) + size_of_val(&value) <= weight(json.as_bytes()));
    }
}
