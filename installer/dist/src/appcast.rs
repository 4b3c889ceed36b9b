//! Sparkle's update feed: one item for each release, and a signature over the feed itself at its end. Pure.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use crate::keys::{self, UpdateKey};
use crate::names::APP_NAME;
use crate::version::Version;

/// Sparkle finds the feed's own signature behind this, at the very end.
const SIGNATURES: &str = "<!-- sparkle-signatures:\n";
/// Sparkle's own tools put this on top of a feed that they signed.
const WARNING: &str = "<!-- sparkle-sign-warning:\nThis feed is signed: change it only by making it again with `cargo xtask appcast`.\n-->\n";
/// An app hears of a release on a channel only if it asks for that channel; of all others always.
const BETA_CHANNEL: &str = "      <sparkle:channel>beta</sparkle:channel>\n";

/// What the feed offers.
#[derive(Debug)]
pub struct Release {
    /// Of the app.
    pub version: Version,
    /// When it was made, in the form that mail uses (RFC 2822).
    pub date: String,
    /// The oldest macOS that it runs on.
    pub system_version_min: String,
    /// The disk image.
    pub image: Download,
    /// What turns an older version into this one, by that version in the form that Sparkle compares.
    pub deltas: Vec<(String, Download)>,
}

/// A file to download, and how its receiver knows that it is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it will be found.
    pub url: String,
    length: usize,
    signature: String,
}

impl Download {
    /// Signs the file.
    pub fn of(url: String, bytes: &[u8], key: &UpdateKey) -> Self {
        Self {
            url,
            length: bytes.len(),
            signature: key.sign(bytes),
        }
    }

    /// Checks the file with the public half of the key.
    pub fn check(&self, bytes: &[u8], public_key: &str) -> Result<()> {
        ensure!(
            bytes.len() == self.length,
            "it has {} bytes, the feed says {}",
            bytes.len(),
            self.length
        );
        keys::check(public_key, bytes, &self.signature).context("it was changed")
    }

    fn read(enclosure: &str) -> Result<Self> {
        let part = |name: &str| {
            let value = between(enclosure, &format!(" {name}=\""), "\"");
            value.with_context(|| format!("an enclosure without {name}"))
        };
        Ok(Self {
            url: unescaped(part("url")?),
            length: part("length")?.parse().context("length")?,
            signature: part("sparkle:edSignature")?.to_owned(),
        })
    }

    /// As the feed's `enclosure`, with further attributes.
    fn enclosure(&self, more: &str) -> String {
        format!(
            r#"<enclosure url="{}"{more} length="{}" type="application/octet-stream" sparkle:edSignature="{}"/>"#,
            escaped(&self.url),
            self.length,
            self.signature,
        )
    }
}

/// Writes and signs the feed.
pub fn write(releases: &[Release], key: &UpdateKey) -> String {
    let items: String = releases.iter().map(item).collect();
    let feed = format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
{WARNING}<rss xmlns:sparkle="http://www.andymatuschak.org/xml-namespaces/sparkle" version="2.0">
  <channel>
    <title>{APP_NAME}</title>
{items}  </channel>
</rss>
"#
    );
    let trailer = trailer(&key.sign(feed.as_bytes()), feed.len());
    feed + &trailer
}

fn item(release: &Release) -> String {
    let Release {
        version,
        date,
        system_version_min,
        image,
        deltas,
    } = release;
    let compared = version.compared();
    let channel = if version.is_beta() { BETA_CHANNEL } else { "" };
    let mut item = format!(
        "    <item>
      <title>{version}</title>
      <pubDate>{date}</pubDate>
{channel}      <sparkle:version>{compared}</sparkle:version>
      <sparkle:shortVersionString>{version}</sparkle:shortVersionString>
      <sparkle:minimumSystemVersion>{}</sparkle:minimumSystemVersion>
      {}
",
        escaped(system_version_min),
        image.enclosure("")
    );
    if !deltas.is_empty() {
        item += "      <sparkle:deltas>\n";
        for (from, delta) in deltas {
            let from = format!(r#" sparkle:deltaFrom="{}""#, escaped(from));
            // Writing into a String cannot fail.
            let _ = writeln!(item, "        {}", delta.enclosure(&from));
        }
        item += "      </sparkle:deltas>\n";
    }
    item + "    </item>\n"
}

/// Checks the feed's own signature with the public half of the key; all downloads that it offers.
pub fn read(feed: &str, public_key: &str) -> Result<Vec<Download>> {
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
    let enclosures = text.split("<enclosure").skip(1);
    let downloads: Result<Vec<_>> = enclosures
        .map(|rest| Download::read(rest.split("/>").next().unwrap_or(rest)))
        .collect();
    let downloads = downloads?;
    ensure!(!downloads.is_empty(), "the feed offers nothing");
    Ok(downloads)
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&gt;", ">")
        .replace("&lt;", "<")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &[u8] = b"the disk image";
    const DELTA: &[u8] = b"the difference";

    fn release(version: &str, key: &UpdateKey) -> Release {
        let url = "https://example.com/a?b&c=\"</>\"".to_owned();
        let delta = Download::of("https://example.com/delta".into(), DELTA, key);
        Release {
            version: Version::parse(version).unwrap(),
            date: "Mon, 23 Nov 2026 03:00:00 +0000".into(),
            system_version_min: "14.0".into(),
            image: Download::of(url, IMAGE, key),
            deltas: vec![("1.2.2".into(), delta)],
        }
    }

    #[test]
    fn every_single_changed_byte_is_noticed() {
        let key = UpdateKey::generate().unwrap();
        let release = release("1.2.3", &key);
        let feed = write(std::slice::from_ref(&release), &key);
        let downloads = read(&feed, &key.public()).unwrap();
        assert_eq!(downloads, [release.image, release.deltas[0].1.clone()]);
        for at in 0..feed.len() {
            let mut changed = feed.clone().into_bytes();
            changed[at] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert!(read(&changed, &key.public()).is_err(), "byte {at}");
        }
        for (download, bytes) in downloads.iter().zip([IMAGE, DELTA]) {
            download.check(bytes, &key.public()).unwrap();
            for at in 0..bytes.len() {
                let mut changed = bytes.to_vec();
                changed[at] ^= 1;
                assert!(
                    download.check(&changed, &key.public()).is_err(),
                    "byte {at}"
                );
            }
            assert!(download.check(&bytes[1..], &key.public()).is_err());
        }
        let other = UpdateKey::generate().unwrap();
        assert!(read(&feed, &other.public()).is_err());
        assert!(downloads[0].check(IMAGE, &other.public()).is_err());
    }

    #[test]
    fn only_what_comes_before_a_release_is_on_the_beta_channel() {
        let key = UpdateKey::generate().unwrap();
        let feed = |version| write(&[release(version, &key)], &key);
        assert!(!feed("1.2.3").contains("sparkle:channel"));
        let beta = feed("1.2.3-beta.4");
        assert!(beta.contains("<sparkle:channel>beta</sparkle:channel>"));
        assert!(beta.contains("<sparkle:version>1.2.3b4</sparkle:version>"));
    }

    #[test]
    fn a_feed_with_nothing_in_it_is_refused() {
        let key = UpdateKey::generate().unwrap();
        let error = read(&write(&[], &key), &key.public()).unwrap_err();
        assert!(error.to_string().contains("offers nothing"), "{error}");
    }
}
