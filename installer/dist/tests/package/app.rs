//! The app: every byte of it is signed, and every other file of the bundle.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Context, Result, bail};
use dist::bundle::files;
use dist::names::{APP_PROGRAM, BUNDLE_ID};
use dist::verify::{Bundle, code_hash, verify};

use crate::made::{Made, reader, with_changed_byte};

#[test]
fn one_changed_byte_in_any_file_of_the_app_is_named() -> Result<()> {
    let made = Made::with(&[])?;
    let app = made.app();
    verify(&app)?;
    let names = files(&app)?;
    assert_eq!(names.len(), 9);
    for name in names {
        let file = app.join(&name);
        if file.is_symlink() {
            continue;
        }
        let length = usize::try_from(file.metadata()?.len())?;
        for at in [0, length / 3, length / 2, length - 1] {
            let Err(error) = with_changed_byte(&file, at, || verify(&app))? else {
                bail!("byte {at} of {} does not matter", name.display());
            };
            let error = format!("{error:#}");
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            assert!(error.contains(&*own), "{}: {error}", name.display());
        }
    }
    verify(&app)?;
    Ok(())
}

#[test]
fn added_missing_and_redirected_files_are_named() -> Result<()> {
    let made = Made::with(&[])?;
    let app = made.app();
    let fails = |name: &str| {
        let error = format!("{:#}", verify(&app).unwrap_err());
        assert!(error.contains(name), "{error}");
    };
    let added = app.join("Contents/Resources/added");
    fs::write(&added, "")?;
    fails("added");
    fs::remove_file(added)?;
    let beside = app.join("Contents/MacOS/mlx.metallib");
    fs::remove_file(&beside)?;
    fails("mlx.metallib");
    symlink("../Resources/AppIcon.icns", &beside)?;
    fails("mlx.metallib");
    fs::remove_file(&beside)?;
    symlink("../Resources/mlx.metallib", &beside)?;
    verify(&app)?;
    let worker = app.join("Contents/MacOS/espalier-worker");
    fs::copy(app.join("Contents/MacOS/espalier"), worker)?;
    fails("espalier-worker");
    Ok(())
}

/// An ad-hoc signature is covered by nothing: each of its bytes must matter all the same.
#[test]
fn every_byte_of_a_program_and_its_signature_matters() -> Result<()> {
    let made = Made::with(&[])?;
    let contents = made.app().join("Contents");
    let (info, resources) = (
        fs::read(contents.join("Info.plist"))?,
        fs::read(contents.join("_CodeSignature/CodeResources"))?,
    );
    let bundle = Some(Bundle {
        identifier: BUNDLE_ID,
        info: &info,
        resources: &resources,
    });
    for (name, bundle) in [(APP_PROGRAM, bundle), ("espalier-worker", None)] {
        let mut program = fs::read(contents.join("MacOS").join(name))?;
        let right = code_hash(&program, bundle)?;
        for at in 0..program.len() {
            program[at] ^= 1;
            let found = code_hash(&program, bundle);
            // The app's seal names this hash of every program but the main one.
            let noticed = found.is_err() || (bundle.is_none() && found? != right);
            assert!(
                noticed,
                "byte {at} of {} of {name} does not matter",
                program.len()
            );
            program[at] ^= 1;
        }
    }
    Ok(())
}

#[test]
fn a_certificate_signs_and_changed_bytes_are_noticed() -> Result<()> {
    let made = Made::inputs()?;
    let (key, certificate, p12) = (
        made.text("id.key"),
        made.text("id.pem"),
        made.text("id.p12"),
    );
    let subject = [
        "-subj",
        "/CN=Espalier test",
        "-days",
        "30",
        "-addext",
        "extendedKeyUsage=critical,codeSigning",
    ];
    let new = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    reader(&["openssl"], &[&new[..], &subject].concat())?;
    // The old ciphers are those of Keychain Access.
    let old = [
        "-keypbe",
        "PBE-SHA1-3DES",
        "-certpbe",
        "PBE-SHA1-3DES",
        "-macalg",
        "sha1",
    ];
    let export = [
        "pkcs12",
        "-export",
        "-inkey",
        &key,
        "-in",
        &certificate,
        "-out",
        &p12,
        "-passout",
        "pass:open",
    ];
    reader(&["openssl"], &[&export[..], &old].concat())?;
    fs::write(made.path("password"), "wrong\n")?;
    let password = made.text("password");
    let options = ["--p12", &p12, "--p12-password-file", &password];
    let refused = made.make("out", &options).unwrap_err();
    assert!(
        refused.to_string().contains("is the password right"),
        "{refused}"
    );
    fs::write(made.path("password"), "open\n")?;
    made.make("out", &options)?;
    verify(&made.path("out"))?;
    let worker = fs::read(made.app().join("Contents/MacOS/espalier"))?;
    let right = code_hash(&worker, None)?;
    let mut changed = worker.clone();
    let mut unnoticed = Vec::new();
    for at in 0..worker.len() {
        changed[at] ^= 1;
        if code_hash(&changed, None).is_ok_and(|hash| hash == right) {
            unnoticed.push(at);
        }
        changed[at] ^= 1;
    }
    // What the certificate's signature is wrapped in has a few bytes without meaning, and nothing else does.
    let message = [0xfa, 0xde, 0x0b, 0x01];
    let message_at = worker.windows(4).rposition(|bytes| bytes == message);
    let message_at = message_at.context("no signature by certificate")?;
    let wrapped = worker.len() - message_at;
    assert!(unnoticed.iter().all(|at| *at > message_at), "{unnoticed:?}");
    assert!(
        unnoticed.len() < wrapped / 100,
        "{unnoticed:?} of {wrapped}"
    );
    Ok(())
}
