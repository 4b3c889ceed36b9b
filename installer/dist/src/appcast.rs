//! Sparkle's update feed: one item for the disk image, signed, and a signature over the feed itself at its end.

use anyhow::{Context, Result, ensure};

use crate::keys::{self, UpdateKey};
use crate::names::{APP_NAME, MACOS_VERSION_MIN};

/// Sparkle finds the feed's own signature behind this, at the very end.
const SIGNATURES: &str = "<!-- sparkle-signatures:\n";
/// Sparkle's own tools put this on top of a feed that they signed.
const WARNING: &str = "<!-- sparkle-sign-warning:\nThis feed is signed: change it only by making it again with `cargo xtask dist`.\n-->\n";

/// What the feed offers.
#[derive(Debug)]
pub struct Release<'a> {
    /// From Cargo.toml.
    pub version: &'a str,
    /// When it was made, in the form that mail uses (RFC 2822).
    pub date: &'a str,
    /// Where the disk image will be found.
    pub url: &'a str,
    /// The disk image's bytes.
    pub image: &'a [u8],
}

/// Writes and signs the feed.
pub fn write(release: &Release<'_>, key: &UpdateKey) -> String {
    let Release {
        version,
        date,
        url,
        image,
    } = release;
    let feed = format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
{WARNING}<rss xmlns:sparkle="http://www.andymatuschak.org/xml-namespaces/sparkle" version="2.0">
  <channel>
    <title>{APP_NAME}</title>
    <item>
      <title>{version}</title>
      <pubDate>{date}</pubDate>
      <sparkle:version>{version}</sparkle:version>
      <sparkle:shortVersionString>{version}</sparkle:shortVersionString>
      <sparkle:minimumSystemVersion>{MACOS_VERSION_MIN}</sparkle:minimumSystemVersion>
      <enclosure url="{}" length="{}" type="application/octet-stream" sparkle:edSignature="{}"/>
    </item>
  </channel>
</rss>
"#,
        escape(url),
        image.len(),
        key.sign(image),
    );
    let trailer = trailer(&key.sign(feed.as_bytes()), feed.len());
    feed + &trailer
}

/// Checks the feed and the disk image that it offers against the public key.
pub fn check(feed: &str, image: &[u8], public_key: &str) -> Result<()> {
    let signed = feed
        .rfind(SIGNATURES)
        .context("the feed carries no signature of its own")?;
    let (text, signatures) = feed.split_at(signed);
    let signature = between(signatures, "edSignature: ", "\n").context("no edSignature")?;
    // The signature's own comment is not signed: exactly this form, so that nothing can hide in it.
    ensure!(
        signatures == trailer(signature, text.len()),
        "the comment with the feed's signature was changed"
    );
    keys::check(public_key, text.as_bytes(), signature).context("the feed was changed")?;
    let enclosure = between(text, "<enclosure ", "/>").context("the feed offers nothing")?;
    let length = between(enclosure, "length=\"", "\"").context("no length")?;
    ensure!(
        length.parse() == Ok(image.len()),
        "the disk image has {} bytes, the feed says {length}",
        image.len()
    );
    let signature = between(enclosure, "sparkle:edSignature=\"", "\"").context("no signature")?;
    keys::check(public_key, image, signature).context("the disk image was changed")
}

fn trailer(signature: &str, length: usize) -> String {
    format!("{SIGNATURES}edSignature: {signature}\nlength: {length}\n-->\n")
}

/// The text between the first `from` and the next `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let start = text.find(from)? + from.len();
    let end = text[start..].find(to)?;
    Some(&text[start..start + end])
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_changed_byte_is_noticed() {
        let key = UpdateKey::generate().unwrap();
        let image = b"the disk image";
        let release = Release {
            version: "1.2.3",
            date: "Mon, 23 Nov 2026 03:00:00 +0000",
            url: "https://example.com/a?b&c",
            image,
        };
        let feed = write(&release, &key);
        check(&feed, image, &key.public()).unwrap();
        for at in 0..feed.len() {
            let mut changed = feed.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(check(&changed, image, &key.public()).is_err(), "byte {at}");
        }
        for at in 0..image.len() {
            let mut changed = image.to_vec();
            changed[at] ^= 1;
            assert!(check(&feed, &changed, &key.public()).is_err(), "byte {at}");
        }
        assert!(check(&feed, &image[1..], &key.public()).is_err());
        let other = UpdateKey::generate().unwrap();
        assert!(check(&feed, image, &other.public()).is_err());
    }
}
