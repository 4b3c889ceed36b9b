//! Signs a bundle from the inside out, with the hardened runtime: ad hoc, or with a certificate.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apple_codesign::cryptography::{InMemoryPrivateKey, parse_pfx_data};
use apple_codesign::{CodeSignatureFlags, SettingsScope, SigningSettings, UnifiedSigner};
use chrono::{DateTime, Utc};
use x509_certificate::CapturedX509Certificate;

use crate::names::PROGRAMS;
use crate::plists::{self, Signature};

/// Apple's clock, which notarization wants in every signature. Asked only when Apple issued the certificate.
const TIME_STAMPS: &str = "http://timestamp.apple.com/ts01";

/// Who signs.
pub enum Signer {
    /// Nobody: the signature only protects against damage.
    AdHoc,
    /// Whoever owns this certificate.
    Certificate(Box<Identity>),
}

/// A certificate and its key.
pub struct Identity {
    certificate: CapturedX509Certificate,
    key: InMemoryPrivateKey,
}

impl Signer {
    /// Reads a certificate and its key as Keychain Access exports them.
    pub fn from_p12(file: &Path, password_file: &Path) -> Result<Self> {
        let bytes = fs::read(file)
            .with_context(|| format!("cannot read {}\nhint: --p12 FILE", file.display()))?;
        let password = fs::read_to_string(password_file).with_context(|| {
            format!(
                "cannot read {}\nhint: --p12-password-file is a file with the password in its first line",
                password_file.display()
            )
        })?;
        let password = password.lines().next().unwrap_or_default();
        let (certificate, key) = parse_pfx_data(&bytes, password).with_context(|| {
            format!(
                "{} cannot be opened\nhint: is the password right? export it again with certificate and key",
                file.display()
            )
        })?;
        Ok(Self::Certificate(Box::new(Identity { certificate, key })))
    }

    /// Signs the bundle in its place, nested code first. `time` goes into signatures that are not ad hoc.
    pub fn sign_app(&self, app: &Path, time: DateTime<Utc>) -> Result<()> {
        let framework = app.join("Contents/Frameworks").is_dir();
        let entitlements = plists::entitlements(match self {
            Self::Certificate(_) => Signature::Certificate,
            Self::AdHoc if framework => Signature::AdHocWithFramework,
            Self::AdHoc => Signature::AdHoc,
        })?;
        let mut settings = self.settings(time)?;
        let programs = PROGRAMS.map(|name| SettingsScope::Path(format!("Contents/MacOS/{name}")));
        for scope in programs.into_iter().chain([SettingsScope::Main]) {
            settings.set_entitlements_xml(scope.clone(), &entitlements)?;
            settings.set_code_signature_flags(scope, CodeSignatureFlags::RUNTIME);
        }
        for program in nested_programs(app)? {
            settings.set_code_signature_flags(
                SettingsScope::Path(program),
                CodeSignatureFlags::RUNTIME,
            );
        }
        UnifiedSigner::new(settings)
            .sign_path_in_place(app)
            .context("the bundle cannot be signed\nhint: see the line above; are all inputs whole?")
    }

    /// Signs a disk image, if there is a certificate.
    pub fn sign_image(&self, image: &Path, time: DateTime<Utc>) -> Result<()> {
        match self {
            Self::AdHoc => Ok(()),
            Self::Certificate(_) => UnifiedSigner::new(self.settings(time)?)
                .sign_path_in_place(image)
                .context("the disk image cannot be signed"),
        }
    }

    fn settings(&self, time: DateTime<Utc>) -> Result<SigningSettings<'_>> {
        let mut settings = SigningSettings::default();
        if let Self::Certificate(identity) = self {
            settings.set_signing_key(&identity.key, identity.certificate.clone());
            settings.set_signing_time(time);
            settings.chain_apple_certificates();
            settings.set_team_id_from_signing_certificate();
            if settings.signing_certificate_apple_signed() {
                settings.set_time_stamp_url(TIME_STAMPS)?;
            }
        }
        Ok(settings)
    }
}

/// The programs inside of frameworks, for which the hardened runtime is asked too.
fn nested_programs(app: &Path) -> Result<Vec<String>> {
    let frameworks = app.join("Contents/Frameworks");
    if !frameworks.is_dir() {
        return Ok(Vec::new());
    }
    let inside = |path: PathBuf| Path::new("Contents/Frameworks").join(path);
    let files = crate::bundle::files(&frameworks)?;
    Ok(files
        .into_iter()
        .map(|path| inside(path).to_string_lossy().into_owned())
        .collect())
}
