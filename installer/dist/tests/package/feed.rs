//! The update feed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dist::verify::verify;

use crate::made::{Made, dist, reader, text, with_changed_byte};

#[test]
fn one_changed_byte_of_disk_image_or_feed_fails() -> Result<()> {
    let made = Made::with(&[])?;
    let out = made.path("out");
    verify(&out)?;
    for file in [made.image(), out.join("appcast.xml")] {
        let length = usize::try_from(file.metadata()?.len())?;
        for at in [0, length / 2, length - 1] {
            assert!(
                with_changed_byte(&file, at, || verify(&out))?.is_err(),
                "byte {at} of {}",
                file.display()
            );
        }
    }
    let checked = dist(&["verify", &made.text("out")])?;
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    Ok(())
}

#[test]
fn openssl_accepts_the_signatures_of_updates() -> Result<()> {
    let made = Made::with(&[])?;
    let public = STANDARD.decode(fs::read_to_string(made.path("public-key"))?.trim())?;
    // The fixed beginning of every Ed25519 public key in X.509's form.
    let mut key = vec![
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    key.extend(public);
    fs::write(made.path("public.der"), key)?;
    let feed = fs::read_to_string(made.path("out/appcast.xml"))?;
    let (signed, trailer) =
        feed.split_at(feed.rfind("<!-- sparkle-signatures").context("unsigned")?);
    assert!(
        trailer.contains(&format!("\nlength: {}\n", signed.len())),
        "{trailer}"
    );
    fs::write(made.path("signed"), signed)?;
    let cut = |from: &str, to: &str| {
        let (_, rest) = feed.split_once(from).context("missing")?;
        Ok::<_, anyhow::Error>(rest.split_once(to).context("missing")?.0.to_owned())
    };
    let image = made.image().display().to_string();
    let signatures = [
        (made.text("signed"), cut("\nedSignature: ", "\n")?),
        (image, cut("sparkle:edSignature=\"", "\"")?),
    ];
    for (file, signature) in signatures {
        fs::write(made.path("signature"), STANDARD.decode(signature)?)?;
        let (key, signature) = (made.text("public.der"), made.text("signature"));
        let arguments = [
            "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", &key, "-rawin", "-in",
            &file, "-sigfile", &signature,
        ];
        let answer = reader(&["openssl"], &arguments)?;
        assert!(answer.contains("Verified Successfully"), "{answer}");
        assert!(
            with_changed_byte(Path::new(&file), 7, || reader(&["openssl"], &arguments))?.is_err()
        );
    }
    Ok(())
}
