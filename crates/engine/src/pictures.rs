//! The pictures and PDFs that a client sends: what a model's provider would not take is refused at the door.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use protocol::{
    Invalid,
    content::{ContentBlock, MediaSource},
    input::ClientEvent,
};
use tools::media::{MediaKind, MediaRefusal};

/// Whether a provider would take all that `events` show, which stand at `path` of the body. May take a while:
/// it looks at every byte.
///
/// # Errors
/// The first picture or PDF that it would not, by the path of its field.
pub fn shown(events: &[ClientEvent], path: &str) -> Result<(), Invalid> {
    for (at, event) in events.iter().enumerate() {
        let content = match event {
            ClientEvent::Message { content } => content.as_slice(),
            ClientEvent::CustomResult { content, .. } => content.as_deref().unwrap_or_default(),
            ClientEvent::Interrupt { .. } | ClientEvent::Confirmation { .. } => &[],
        };
        for (place, block) in content.iter().enumerate() {
            let (ContentBlock::Image { source } | ContentBlock::Document { source, .. }) = block else {
                continue;
            };
            let MediaSource::Base64 { data, media_type } = source else { continue };
            let path = |field: &str| format!("{path}.{at}.content.{place}.source.{field}");
            let media = begins(data);
            match media.map(MediaKind::name) {
                Some(name) if name == media_type => {}
                Some(name) => {
                    let message = format!("is `{media_type}`, and the data begins as {name}; say what it is");
                    return Err(Invalid::new(path("media_type"), message));
                }
                None => {
                    let message =
                        format!("does not begin as {media_type} does; send the bytes of the file itself");
                    return Err(Invalid::new(path("data"), message));
                }
            }
            let checked = media.map_or(Ok(()), |media| checked(media, data));
            checked.map_err(|wrong| Invalid::new(path("data"), format!("{wrong}; {}", advice(wrong))))?;
        }
    }
    Ok(())
}

/// What encoded bytes begin as.
fn begins(data: &str) -> Option<MediaKind> {
    // Sixteen characters are twelve bytes, as many as it takes.
    let first = data.get(..data.len().min(16))?;
    MediaKind::of(&BASE64_STANDARD.decode(first).ok()?)
}

fn checked(media: MediaKind, data: &str) -> Result<(), MediaRefusal> {
    // Not decoded to be refused.
    if data.len() / 4 * 3 > media.bytes_max() + 2 {
        return Err(MediaRefusal::TooLarge { media });
    }
    match BASE64_STANDARD.decode(data) {
        Ok(bytes) => media.check(&bytes),
        Err(_) => Err(MediaRefusal::Incomplete { media, lacks: "its base64 ends in a wrong place" }),
    }
}

/// What its sender can do about it.
fn advice(wrong: MediaRefusal) -> &'static str {
    match wrong {
        MediaRefusal::TooLarge { media: MediaKind::Pdf } => "send fewer pages, or its text",
        MediaRefusal::TooLarge {
            media: MediaKind::Png | MediaKind::Jpeg | MediaKind::Gif | MediaKind::Webp,
        } => "send a smaller copy",
        MediaRefusal::Incomplete { .. } => "send the whole file",
        MediaRefusal::Encrypted => "send it decrypted, or its text",
        MediaRefusal::Sizeless { .. } => "make it again, or convert it",
        MediaRefusal::TooWide { .. } => "resize it, or send a part of it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::EventId;

    /// A PNG of this size, complete enough for a provider to begin with.
    fn png(width: u32, height: u32, more: usize) -> Vec<u8> {
        let [across, down] = [width, height].map(u32::to_be_bytes);
        let head: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", &across, &down, b"\x08\x02\0\0\0crc!"];
        [&head.concat()[..], &vec![0; more], b"\0\0\0\0IENDcrc!"].concat()
    }

    fn image(media_type: &str, bytes: &[u8]) -> ContentBlock {
        let (data, media_type) = (BASE64_STANDARD.encode(bytes), media_type.to_owned());
        ContentBlock::Image { source: MediaSource::Base64 { data, media_type } }
    }

    fn pdf(bytes: &[u8]) -> ContentBlock {
        let (data, media_type) = (BASE64_STANDARD.encode(bytes), "application/pdf".to_owned());
        ContentBlock::Document {
            source: MediaSource::Base64 { data, media_type },
            title: None,
            context: None,
        }
    }

    fn wrong(block: ContentBlock) -> Option<(String, String)> {
        let content = vec![ContentBlock::text("see"), block];
        let call = EventId::from_bits(1);
        let message =
            [ClientEvent::Interrupt { thread: None }, ClientEvent::Message { content: content.clone() }];
        let result =
            [message[0].clone(), ClientEvent::CustomResult { call, content: Some(content), is_error: None }];
        let told = shown(&message, "events");
        assert_eq!(told, shown(&result, "events"), "a result is no other thing");
        told.err().map(|wrong| (wrong.path, wrong.message))
    }

    #[test]
    fn what_a_provider_takes_is_taken() {
        let link =
            ContentBlock::Image { source: MediaSource::Url { url: "https://example.com/a.png".into() } };
        let note = MediaSource::Text { data: "x".into(), media_type: "text/plain".into() };
        let note = ContentBlock::Document { source: note, title: None, context: None };
        let most = MediaKind::Png.bytes_max() - png(1, 1, 0).len();
        for block in [
            image("image/png", &png(8_000, 1, 0)),
            image("image/png", &png(1, 1, most)),
            pdf(b"%PDF-1.7\n%%EOF"),
            link,
            note,
        ] {
            assert_eq!(wrong(block), None);
        }
    }

    #[test]
    fn what_a_provider_would_refuse_is_refused_by_the_field_that_holds_it() {
        let encrypted = b"%PDF-1.7\ntrailer<</Encrypt 3 0 R>>\nstartxref\n9\n%%EOF";
        let most = MediaKind::Png.bytes_max() - png(1, 1, 0).len();
        for (block, field, said) in [
            (image("image/png", b"hello"), "data", "does not begin as image/png does"),
            (
                image("image/png", b"\xff\xd8\xff\xe0 and more"),
                "media_type",
                "is `image/png`, and the data begins as image/jpeg",
            ),
            (image("image/png", b"%PDF-1.7"), "media_type", "begins as application/pdf"),
            (image("image/png", &png(1, 1, 0)[..30]), "data", "is not complete"),
            (image("image/png", &png(1, 1, most + 1)), "data", "has more than 3.75 MiB"),
            (image("image/png", &png(1, 1, 6 << 20)), "data", "send a smaller copy"),
            (image("image/png", &png(8_001, 1, 0)), "data", "has 8001 x 1 pixels"),
            (image("image/png", &png(0, 1, 0)), "data", "without a width"),
            (pdf(b"%PDF-1.7\n1 0 obj"), "data", "without %%EOF"),
            (pdf(encrypted), "data", "send it decrypted"),
        ] {
            let (path, message) = wrong(block).expect(said);
            assert_eq!(path, format!("events.1.content.1.source.{field}"), "{said}");
            assert!(message.contains(said), "{said}: {message}");
        }
    }
}
