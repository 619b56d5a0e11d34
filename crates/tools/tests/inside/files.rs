//! `read`: texts, lines, pictures, and what must not hang.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::support::{Answer, Jail, bad, everywhere, good};

fn read(jail: &mut Jail, path: &str) -> Answer {
    jail.call("read", json!({"file_path": path}))
}

#[test]
fn a_text_comes_as_it_is_and_a_range_only_with_its_lines() {
    everywhere(|jail| {
        let text = "  one\r\ntwo\u{1b}[0m\n\nvier ä\nno end";
        jail.put("file", text);
        assert_eq!(read(jail, "file"), good(text));
        let path = jail.layout.workspace.join("file").display().to_string();
        assert_eq!(read(jail, &path), good(text));
        let lines = |jail: &mut Jail, first: i64, last: i64| {
            jail.call("read", json!({"file_path": "file", "view_range": [first, last]}))
        };
        assert_eq!(lines(jail, 1, 1), good("  one\r\n"));
        assert_eq!(lines(jail, 2, 3), good("two\u{1b}[0m\n\n"));
        assert_eq!(lines(jail, 4, -1), good("vier ä\nno end"));
        assert_eq!(lines(jail, 5, 0), good("no end"));
        assert_eq!(lines(jail, 5, 99), good("no end"));
        assert_eq!(lines(jail, 6, 7), bad(&format!("{path} has only 5 lines; begin at one of them")));
        jail.put("empty", "");
        assert_eq!(read(jail, "empty"), good("(the file is empty)"));
        let all = jail.call("read", json!({"file_path": "empty", "view_range": [1, -1]}));
        assert_eq!(all, good("(the file is empty)"));
    });
}

#[test]
fn a_large_text_is_read_by_lines_only() {
    everywhere(|jail| {
        jail.put("most", "x".repeat(256 * 1024));
        assert!(!read(jail, "most").is_error);
        jail.put("more", "1234567\n".repeat(40_000));
        let path = jail.layout.workspace.join("more").display().to_string();
        assert_eq!(
            read(jail, "more"),
            bad(&format!(
                "{path} is too large to be read at once (320000 bytes): read some lines with `view_range`, as \
                 [1, 200], or search it with `grep`"
            ))
        );
        let lines = jail.call("read", json!({"file_path": "more", "view_range": [39_999, -1]}));
        assert_eq!(lines, good("1234567\n1234567\n"));
        let many = jail.call("read", json!({"file_path": "more", "view_range": [1, -1]}));
        assert!(
            many.text().contains("[304000 of 320000 characters are left out here."),
            "{}",
            many.text().len()
        );
        // A file with a hole of a gigabyte and no line in it.
        assert!(!jail.bash("printf 'head\\n' > hole; truncate -s 1G hole").is_error);
        assert!(read(jail, "hole").is_error);
    });
}

/// A PNG with so many bytes that mean nothing.
fn png(width: u32, height: u32, more: usize) -> Vec<u8> {
    let chunk =
        |name: &[u8], data: &[u8]| [&(data.len() as u32).to_be_bytes()[..], name, data, &[0; 4]].concat();
    let size = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let (head, data, end) = (chunk(b"IHDR", &size), chunk(b"IDAT", &vec![0; more]), chunk(b"IEND", b""));
    [&b"\x89PNG\r\n\x1a\n"[..], &head, &data, &end].concat()
}

/// A JPEG whose header holds the end marker of a preview.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let [size, across] = [height.to_be_bytes(), width.to_be_bytes()];
    let frame = [&b"\xff\xc0\0\x0b\x08"[..], &size, &across, b"\x01\x01\x11\0"].concat();
    let preview = b"\xff\xd8\xff\xe1\0\x08\xff\xda\0\0\xff\xd9";
    [&preview[..], &frame, b"\xff\xda\0\x08\x01\x01\0\0\x3f\0data\xff\xd9"].concat()
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    [&b"GIF89a"[..], &width.to_le_bytes(), &height.to_le_bytes(), b"\0\0\0data;"].concat()
}

fn webp(width: u16, height: u16) -> Vec<u8> {
    let [across, size] = [width.to_le_bytes(), height.to_le_bytes()];
    [&b"RIFF\x18\0\0\0WEBPVP8 \x0c\0\0\0\0\0\0\x9d\x01\x2a"[..], &across, &size, b"da"].concat()
}

#[test]
fn pictures_and_pdfs_come_as_blocks_by_their_content() {
    everywhere(|jail| {
        for (bytes, media_type) in [
            (png(8_000, 1, 0), "image/png"),
            (jpeg(1, 8_000), "image/jpeg"),
            (gif(3, 4), "image/gif"),
            (webp(5, 6), "image/webp"),
        ] {
            jail.put("named.txt", &bytes);
            let source =
                json!({"type": "base64", "data": BASE64_STANDARD.encode(&bytes), "media_type": media_type});
            let expected = Answer { content: json!([{"type": "image", "source": source}]), is_error: false };
            assert_eq!(read(jail, "named.txt"), expected);
        }
        let bytes =
            b"%PDF-1.7\n1 0 obj<</EncryptMetadata 1/Title (/Encrypt )>>stream\nrest\nxref\ntrailer<<>>\n\
            startxref\n68\n%%EOF\n";
        jail.put("doc", bytes);
        let source =
            json!({"type": "base64", "data": BASE64_STANDARD.encode(bytes), "media_type": "application/pdf"});
        let content = json!([{"type": "document", "source": source, "title": null, "context": null}]);
        assert_eq!(read(jail, "doc"), Answer { content, is_error: false });
        let ranged = jail.call("read", json!({"file_path": "doc", "view_range": [1, 2]}));
        assert!(ranged.is_error && ranged.text().contains("read it without `view_range`"), "{ranged:?}");
    });
}

#[test]
fn what_a_provider_would_refuse_is_refused_at_once() {
    everywhere(|jail| {
        let cut = |mut bytes: Vec<u8>, by: usize| {
            bytes.truncate(bytes.len() - by);
            bytes
        };
        let pdf = |middle: &str| format!("%PDF-1.7\n{middle}").into_bytes();
        let far = "x".repeat(5_000);
        for (bytes, said) in [
            (
                cut(png(1, 1, 100), 12),
                "begins as image/png but is not complete (without IHDR or IEND); if it",
            ),
            (cut(jpeg(1, 1), 1), "begins as image/jpeg but is not complete (without an end marker); if it"),
            (cut(gif(1, 1), 1), "begins as image/gif but is not complete (without a trailer); if it"),
            (cut(webp(1, 1), 1), "begins as image/webp but is not complete (shorter than it says); if it"),
            (b"RIFF\x04\0\0\0WEBPVP8 ".to_vec(), "begins as image/webp but is not complete (shorter"),
            (png(0, 1, 0), "is image/png without a width and a height that could be found; make it again"),
            (b"\xff\xd8\xff\xda\xff\xd9".to_vec(), "is image/jpeg without a width and a height"),
            (gif(1, 0), "is image/gif without a width and a height"),
            (
                png(u32::MAX, 1, 0),
                "has 4294967295 x 1 pixels, and 8000 on a side is the most that can be shown",
            ),
            (jpeg(1, 8_001), "has 1 x 8001 pixels"),
            (
                pdf("1 0 obj"),
                "begins as application/pdf but is not complete (without %%EOF at its end); if it",
            ),
            (pdf(&format!("%%EOF{far}")), "begins as application/pdf but is not complete"),
            (
                pdf(&format!("xref {far} trailer<</Encrypt 3 0 R>>\nstartxref\n9\n%%EOF")),
                "is an encrypted application/pdf, which cannot be shown; decrypt it",
            ),
            (
                pdf(&format!("1 0 obj<</Type/XRef/Encrypt 3 0 R>>stream {far} startxref\r\n9\r\n%%EOF")),
                "is an encrypted application/pdf",
            ),
            (
                pdf("endstream trailer<</Encrypt<</V 4>>>>\nstartxref\n99999999999999999999\n%%EOF"),
                "is an encrypted",
            ),
        ] {
            jail.put("file", bytes);
            let answer = read(jail, "file");
            let said = format!("{} {said}", jail.layout.workspace.join("file").display());
            assert!(answer.is_error && answer.text().starts_with(&said), "{said}: {answer:?}");
        }
        for name in ["a.png", "b.JPEG", "c.jpg", "d.gif", "e.webp", "f.pdf"] {
            jail.put(name, "");
            let answer = read(jail, name);
            assert!(answer.is_error && answer.text().contains(" is empty: what should have"), "{answer:?}");
        }
    });
}

#[test]
fn pictures_and_pdfs_of_the_largest_size_pass_and_one_byte_more_does_not() {
    everywhere(|jail| {
        let most = 5 * 1024 * 1024 / 4 * 3;
        let more = most - png(1, 1, 0).len();
        jail.put("p", png(1, 1, more));
        let answer = read(jail, "p");
        assert_eq!(answer.content[0]["source"]["data"].as_str().unwrap().len(), 5 * 1024 * 1024);
        jail.put("p", png(1, 1, more + 1));
        let answer = read(jail, "p");
        assert!(answer.is_error && answer.text().contains("make a smaller copy"), "{answer:?}");
        let mut pdf = vec![0; 20 * 1024 * 1024];
        pdf[..5].copy_from_slice(b"%PDF-");
        pdf[20 * 1024 * 1024 - 100..][..5].copy_from_slice(b"%%EOF");
        jail.put("d", &pdf);
        assert!(!read(jail, "d").is_error);
        pdf.push(0);
        jail.put("d", &pdf);
        let answer = read(jail, "d");
        assert!(answer.is_error && answer.text().contains("more than 20 MiB"), "{answer:?}");
    });
}

#[test]
fn what_is_no_text_is_named() {
    everywhere(|jail| {
        for (bytes, what) in [
            (&b"\x7fELF\x02\0\0"[..], "a binary file (an ELF program or library)"),
            (b"PK\x03\x04\0\0", "a binary file (a zip archive, or an office document)"),
            (b"\xff\xfea\0", "a text in UTF-16 (turn it into UTF-8 with `iconv -f UTF-16`)"),
            (
                b"caf\xe9 au lait",
                "not a text in UTF-8 (if it is one in Latin-1, turn it with `iconv -f LATIN1`)",
            ),
            (b"a\0b", "a binary file"),
        ] {
            jail.put("file", bytes);
            let path = jail.layout.workspace.join("file").display().to_string();
            let told =
                format!("{path} is {what}; look at it with bash, for instance with `file` or `xxd | head`");
            assert_eq!(read(jail, "file"), bad(&told));
        }
    });
}

#[test]
fn nothing_that_can_be_named_makes_it_wait() {
    everywhere(|jail| {
        assert!(!jail.bash("mkfifo fifo; mkdir dir; ln -s loop loop; ln -s /dev/zero zero").is_error);
        let workspace = jail.layout.workspace.display().to_string();
        assert_eq!(
            read(jail, "fifo"),
            bad(&format!("{workspace}/fifo is a FIFO, not a file; use bash for it"))
        );
        assert_eq!(
            read(jail, "dir"),
            bad(&format!(
                "{workspace}/dir is a directory; see what is in it with `glob`, or with `ls` in bash"
            ))
        );
        for path in ["zero", "/dev/zero", "/dev/random", "/dev/null"] {
            let answer = read(jail, path);
            assert!(
                answer.is_error && answer.text().ends_with("is a device, not a file; use bash for it"),
                "{path}"
            );
        }
        for path in ["loop", "none", "/proc/self/mem", "/proc/self/pagemap", "fifo/below", "/proc/self/fd/0"]
        {
            assert!(read(jail, path).is_error, "{path}");
        }
    });
}

/// They are those of the process that keeps the sandbox.
#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[test]
fn the_kernels_own_files_are_refused_by_whatever_way_they_are_named() {
    everywhere(|jail| {
        assert!(
            !jail.bash("ln -s /proc p; ln -s /proc/self/maps m; ln -s /proc/self/oom_score_adj o").is_error
        );
        for path in ["/proc/self/status", "/proc/meminfo", "p/self/environ", "m"] {
            let answer = read(jail, path);
            assert!(answer.is_error, "{path}");
            assert!(
                answer.text().contains("is in /proc or /sys, where this tool does not look"),
                "{answer:?}"
            );
        }
        for (tool, input) in [
            ("write", json!({"file_path": "o", "content": "0"})),
            ("edit", json!({"file_path": "o", "old_string": "0", "new_string": "1"})),
            ("glob", json!({"pattern": "*", "path": "p"})),
            ("grep", json!({"pattern": ".", "path": "p/self"})),
        ] {
            let answer = jail.call(tool, input);
            let refused = ["is in /proc or /sys", "Read-only file system"]
                .iter()
                .any(|why| answer.text().contains(why));
            assert!(answer.is_error && refused, "{tool}: {answer:?}");
        }
    });
}
