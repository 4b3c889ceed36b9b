//! The whole of packaging, through the command line, read back by programs that are not ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dist::bundle::files;
use dist::inputs::hex;
use dist::names::{APP_FOLDER, APP_PROGRAM, BUNDLE_ID, PROGRAMS};
use dist::trial;
use dist::verify::{Bundle, code_hash, verify};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The Debian packages with the programs that the tests start: readers that are not ours.
const PACKAGES: &str = include_str!("debian-packages.txt");
/// The time in everything that the tests make.
const TIME: &str = "1790000000";

/// Programs, keys and what was made from them.
struct Made {
    folder: TempDir,
}

impl Made {
    /// Inputs for a build, and nothing made yet.
    fn inputs() -> Result<Self> {
        let made = Self {
            folder: tempfile::tempdir()?,
        };
        fs::create_dir(made.path("programs"))?;
        trial::write_programs(&made.path("programs"))?;
        fs::write(made.path("kernels"), "Metal kernels")?;
        let key = dist(&["keygen", &made.text("key")])?;
        ensure!(key.status.success(), "{}", text(&key.stderr));
        fs::write(made.path("public-key"), key.stdout)?;
        Ok(made)
    }

    /// A build with a feed and further options.
    fn with(options: &[&str]) -> Result<Self> {
        let made = Self::inputs()?;
        made.make("out", options)?;
        Ok(made)
    }

    fn make(&self, output: &str, options: &[&str]) -> Result<()> {
        let (output, programs) = (self.text(output), self.text("programs"));
        let (kernels, key) = (self.text("kernels"), self.text("key"));
        let mut all = vec![
            "--output",
            &output,
            "--binaries",
            &programs,
            "--metallib",
            &kernels,
        ];
        all.extend([
            "--ed-key-file",
            &key,
            "--url",
            "https://example.com/updates",
        ]);
        all.extend(options);
        let made = dist(&all)?;
        ensure!(made.status.success(), "{}", text(&made.stderr));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn app(&self) -> PathBuf {
        self.path("out").join(APP_FOLDER)
    }

    fn image(&self) -> PathBuf {
        self.path("out")
            .join(format!("Espalier-{}.dmg", env!("CARGO_PKG_VERSION")))
    }
}

fn dist(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dist"));
    Ok(command
        .env("SOURCE_DATE_EPOCH", TIME)
        .args(arguments)
        .output()?)
}

/// Runs a program of the system, the first of `names` that is there.
fn reader(names: &[&str], arguments: &[&str]) -> Result<String> {
    for name in names {
        match Command::new(name).args(arguments).output() {
            Ok(output) => {
                let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
                ensure!(
                    output.status.success(),
                    "{name} {arguments:?} failed: {shown}"
                );
                return Ok(shown);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(names.join(" or ")),
        }
    }
    bail!(
        "{} is missing\nhint: sudo apt-get install -y {}",
        names.join(" or "),
        PACKAGES.replace('\n', " ")
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Changes one byte, runs `check`, and puts the byte back.
fn with_changed_byte<T>(file: &Path, at: usize, check: impl FnOnce() -> T) -> Result<T> {
    let bytes = fs::read(file)?;
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    fs::write(file, changed)?;
    let outcome = check();
    fs::write(file, bytes)?;
    Ok(outcome)
}

#[test]
fn one_command_makes_a_trial_that_checks_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = folder.path().display().to_string();
    let made = dist(&["--trial", "--output", &output])?;
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(folder.path().join("Espalier-trial.dmg").is_file());
    assert!(text(&made.stderr).contains("placeholders"));
    let checked = dist(&["verify", &output])?;
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert_eq!(
        text(&checked.stdout).lines().count(),
        3,
        "{}",
        text(&checked.stdout)
    );
    Ok(())
}

#[test]
fn without_programs_it_says_where_they_come_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let refused = dist(&["--output", &folder.path().display().to_string()])?;
    let error = text(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        error.contains("--binaries") && error.contains("--trial"),
        "{error}"
    );
    let linux = env!("CARGO_BIN_EXE_dist");
    for name in PROGRAMS {
        fs::copy(linux, folder.path().join(name))?;
    }
    let path = folder.path().display().to_string();
    let refused = dist(&["--output", &path, "--binaries", &path])?;
    let error = text(&refused.stderr);
    let native = cfg!(all(target_os = "macos", target_arch = "aarch64"));
    assert!(
        native || error.contains("espalier-app cannot be used"),
        "{error}"
    );
    Ok(())
}

#[test]
fn the_same_input_gives_the_same_bytes() -> Result<()> {
    let made = Made::with(&[])?;
    made.make("again", &[])?;
    let (first, second) = (made.path("out"), made.path("again"));
    let names = files(&first)?;
    assert_eq!(names, files(&second)?);
    for name in &names {
        assert!(
            fs::read(first.join(name))? == fs::read(second.join(name))?,
            "{}",
            name.display()
        );
    }
    Ok(())
}

#[test]
fn other_programs_read_the_disk_image() -> Result<()> {
    let made = Made::with(&[])?;
    let (image, raw) = (made.image().display().to_string(), made.text("raw"));
    if cfg!(target_os = "macos") {
        reader(&["hdiutil"], &["verify", &image])?;
        let app = made.app().display().to_string();
        reader(&["codesign"], &["--verify", "--deep", "--strict", &app])?;
        return Ok(());
    }
    // 7-Zip reads compressed image and volume by itself.
    let unpacked = made.text("unpacked");
    reader(
        &["7zz", "7z"],
        &["x", "-snld", "-y", &format!("-o{unpacked}"), &image],
    )?;
    let volume = made.path("unpacked").join("Espalier");
    let inside = if volume.is_dir() {
        volume
    } else {
        made.path("unpacked")
    };
    for name in files(&made.app())? {
        let (ours, theirs) = (made.app().join(&name), inside.join(APP_FOLDER).join(&name));
        if !ours.is_symlink() {
            assert!(fs::read(ours)? == fs::read(&theirs)?, "{}", name.display());
        }
    }
    let listed = reader(&["7zz", "7z"], &["l", "-slt", &image])?;
    assert!(
        listed.contains("Applications") && listed.contains(".DS_Store"),
        "{listed}"
    );
    // dmg2img unpacks the image, sleuthkit reads the volume.
    reader(&["dmg2img"], &["-i", &image, "-o", &raw])?;
    let listed = reader(&["fls"], &["-r", "-p", "-f", "hfs", &raw])?;
    for name in [
        "Espalier.app/Contents/MacOS/espalier-worker",
        ".background/background.png",
        ".DS_Store",
    ] {
        assert!(listed.contains(name), "{name} is not in {listed}");
    }
    let link = listed.lines().find(|line| line.ends_with("\tApplications"));
    let link = link.context("no Applications")?;
    assert!(link.starts_with("l/"), "{link}");
    let id = link.split([' ', ':']).nth(1).context("no id")?;
    assert_eq!(
        reader(&["icat"], &["-f", "hfs", &raw, id])?,
        "/Applications"
    );
    let volume = reader(&["fsstat"], &["-f", "hfs", &raw])?;
    assert!(volume.contains("Volume Name: Espalier"), "{volume}");
    let icon = made.app().join("Contents/Resources/AppIcon.icns");
    let icons = reader(&["icns2png"], &["-l", &icon.display().to_string()])?;
    assert!(icons.contains("1024x1024"), "{icons}");
    Ok(())
}

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

/// A framework of Sparkle's shape: versions, links, a helper program, an app inside.
fn framework(folder: &Path) -> Result<()> {
    let framework = folder.join("Sparkle.framework");
    let version = framework.join("Versions/B");
    let updater = version.join("Updater.app/Contents");
    fs::create_dir_all(updater.join("MacOS"))?;
    fs::create_dir_all(version.join("Resources"))?;
    let info = |name: &str, kind: &str| {
        format!(
            "<plist version=\"1.0\"><dict><key>CFBundleExecutable</key><string>{name}</string>\
             <key>CFBundleIdentifier</key><string>org.example.{name}</string>\
             <key>CFBundlePackageType</key><string>{kind}</string></dict></plist>"
        )
    };
    fs::write(updater.join("Info.plist"), info("Updater", "APPL"))?;
    fs::write(
        version.join("Resources/Info.plist"),
        info("Sparkle", "FMWK"),
    )?;
    fs::write(updater.join("MacOS/Updater"), trial::program("Updater"))?;
    fs::write(version.join("Autoupdate"), trial::program("Autoupdate"))?;
    let mut library = trial::program("Sparkle");
    library[12] = 6; // a library instead of a program
    fs::write(version.join("Sparkle"), library)?;
    symlink("B", framework.join("Versions/Current"))?;
    for name in ["Sparkle", "Autoupdate", "Updater.app", "Resources"] {
        symlink(
            Path::new("Versions/Current").join(name),
            framework.join(name),
        )?;
    }
    Ok(())
}

#[test]
fn the_updater_is_an_input_by_hash_signed_again_and_checked_inside() -> Result<()> {
    let made = Made::inputs()?;
    framework(made.folder.path())?;
    let archive = made.text("Sparkle.tar.xz");
    reader(
        &["tar"],
        &["-cJf", &archive, "-C", &made.text(""), "Sparkle.framework"],
    )?;
    let hash = hex(&Sha256::digest(fs::read(&archive)?));
    let wrong = hash.replace(&hash[..1], "x");
    let refused = made.make("out", &["--sparkle", &archive, "--sparkle-sha256", &wrong]);
    assert!(refused.unwrap_err().to_string().contains(&hash));
    made.make("out", &["--sparkle", &archive, "--sparkle-sha256", &hash])?;
    let app = made.app();
    verify(&made.path("out"))?;
    let inside = app.join("Contents/Frameworks/Sparkle.framework/Versions/B");
    let names = files(&inside)?;
    assert_eq!(names.len(), 7, "{names:?}");
    for name in names {
        let file = inside.join(&name);
        let length = usize::try_from(file.metadata()?.len())?;
        for at in [0, length / 2, length - 1] {
            let Err(error) = with_changed_byte(&file, at, || verify(&app))? else {
                bail!("byte {at} of {} does not matter", name.display());
            };
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            assert!(
                format!("{error:#}").contains(&*own),
                "{}: {error:#}",
                name.display()
            );
        }
    }
    let program = fs::read(app.join("Contents/MacOS").join(APP_PROGRAM))?;
    let entitled = b"com.apple.security.cs.disable-library-validation";
    assert!(program.windows(entitled.len()).any(|part| part == entitled));
    Ok(())
}
