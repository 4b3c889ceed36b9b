//! The two property lists in the project's root, and what `dist` adds to them.

use std::io::Cursor;

use anyhow::{Context, Result};
use plist::{Dictionary, Value};

use crate::version::Version;

/// The project's `Info.plist`.
pub const INFO: &str = include_str!("../../../Info.plist");
/// The project's `entitlements.plist`.
pub const ENTITLEMENTS: &str = include_str!("../../../entitlements.plist");
const LOADS_FOREIGN_LIBRARIES: &str = "com.apple.security.cs.disable-library-validation";

/// Where updates come from, and the key that they are checked with.
#[derive(Debug, Clone)]
pub struct Updates {
    /// Of the feed.
    pub feed_url: String,
    /// Ed25519, base64.
    pub public_key: String,
}

/// `Info.plist` of one build.
pub fn info(version: &Version, updates: Option<&Updates>) -> Result<Vec<u8>> {
    let mut info = dictionary(INFO.as_bytes()).context("Info.plist")?;
    let shown = version.to_string();
    info.insert("CFBundleShortVersionString".into(), shown.into());
    info.insert("CFBundleVersion".into(), version.compared().into());
    if let Some(updates) = updates {
        info.insert("SUFeedURL".into(), updates.feed_url.clone().into());
        info.insert("SUPublicEDKey".into(), updates.public_key.clone().into());
    }
    info.sort_keys();
    xml(info)
}

/// The entitlements of one build.
pub fn entitlements(signature: Signature) -> Result<String> {
    let mut entitlements = dictionary(ENTITLEMENTS.as_bytes()).context("entitlements.plist")?;
    match signature {
        Signature::Certificate | Signature::AdHoc => {}
        // The hardened runtime takes only libraries signed by the same team, and an ad-hoc signature names none.
        Signature::AdHocWithFramework => {
            entitlements.insert(LOADS_FOREIGN_LIBRARIES.into(), true.into());
        }
    }
    Ok(String::from_utf8(xml(entitlements)?)?)
}

/// What decides about the entitlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// From a certificate.
    Certificate,
    /// Without one: for this machine, or for trying it out.
    AdHoc,
    /// Without one, and a library is loaded from the bundle.
    AdHocWithFramework,
}

/// A property list whose root is a dictionary.
pub fn dictionary(bytes: &[u8]) -> Result<Dictionary> {
    Value::from_reader(Cursor::new(bytes))?
        .into_dictionary()
        .context("it is not a dictionary")
}

fn xml(dictionary: Dictionary) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Value::Dictionary(dictionary).to_writer_xml(&mut bytes)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{APP_NAME, APP_PROGRAM, BUNDLE_ID};

    #[test]
    fn info_says_what_macos_needs_to_know() {
        let text = |text: &str| Value::String(text.into());
        let expected: Vec<(&str, Value)> = vec![
            ("CFBundleDevelopmentRegion", text("en")),
            ("CFBundleDisplayName", text(APP_NAME)),
            ("CFBundleExecutable", text(APP_PROGRAM)),
            ("CFBundleIconFile", text("AppIcon")),
            ("CFBundleIdentifier", text(BUNDLE_ID)),
            ("CFBundleInfoDictionaryVersion", text("6.0")),
            ("CFBundleName", text(APP_NAME)),
            ("CFBundlePackageType", text("APPL")),
            (
                "CFBundleSupportedPlatforms",
                Value::Array(vec![text("MacOSX")]),
            ),
            (
                "LSApplicationCategoryType",
                text("public.app-category.developer-tools"),
            ),
            ("LSMinimumSystemVersion", text("14.0")),
            ("LSUIElement", Value::Boolean(true)),
            (
                "NSBonjourServices",
                Value::Array(vec![text("_espalier._tcp")]),
            ),
            ("NSHighResolutionCapable", Value::Boolean(true)),
            ("SURequireSignedFeed", Value::Boolean(true)),
            ("SUVerifyUpdateBeforeExtraction", Value::Boolean(true)),
        ];
        let mut info = dictionary(INFO.as_bytes()).unwrap();
        for (key, value) in expected {
            assert_eq!(info.remove(key), Some(value), "{key}");
        }
        let transport = info.remove("NSAppTransportSecurity").unwrap();
        let allowed: Vec<_> = transport.as_dictionary().unwrap().iter().collect();
        let local = "NSAllowsLocalNetworking".to_owned();
        assert_eq!(allowed, [(&local, &Value::Boolean(true))]);
        for (key, part) in [
            ("NSHumanReadableCopyright", "Espalier contributors"),
            ("NSLocalNetworkUsageDescription", "your other Macs"),
        ] {
            let value = info.remove(key).unwrap();
            assert!(value.as_string().unwrap().contains(part), "{key}");
        }
        assert!(info.is_empty(), "not asserted: {info:?}");
    }

    #[test]
    fn a_build_adds_its_version_and_where_updates_come_from() {
        let version = Version::parse("1.2.3-beta.4").unwrap();
        let plain = dictionary(&info(&version, None).unwrap()).unwrap();
        assert_eq!(plain["CFBundleVersion"].as_string(), Some("1.2.3b4"));
        assert_eq!(
            plain["CFBundleShortVersionString"].as_string(),
            Some("1.2.3-beta.4")
        );
        assert!(!plain.contains_key("SUFeedURL"));
        let updates = Updates {
            feed_url: "https://example.com/appcast.xml".into(),
            public_key: "KEY".into(),
        };
        let with = dictionary(&info(&version, Some(&updates)).unwrap()).unwrap();
        assert_eq!(
            with["SUFeedURL"].as_string(),
            Some("https://example.com/appcast.xml")
        );
        assert_eq!(with["SUPublicEDKey"].as_string(), Some("KEY"));
    }

    #[test]
    fn nothing_is_entitled_but_foreign_libraries_where_no_certificate_vouches() {
        let keys = |signature| {
            let text = entitlements(signature).unwrap();
            let all = dictionary(text.as_bytes()).unwrap();
            assert!(all.values().all(|value| value.as_boolean() == Some(true)));
            all.keys().cloned().collect::<Vec<_>>()
        };
        assert!(keys(Signature::Certificate).is_empty());
        assert!(keys(Signature::AdHoc).is_empty());
        assert_eq!(
            keys(Signature::AdHocWithFramework),
            [LOADS_FOREIGN_LIBRARIES]
        );
    }

    /// Every `-` item of the comment that explains the entitlements names one that the file does not have.
    #[test]
    fn what_the_entitlements_comment_calls_unneeded_is_absent() {
        let list = ENTITLEMENTS.split("-->").next().unwrap();
        for name in ["allow-jit", "disable-library-validation", "get-task-allow"] {
            assert!(list.contains(name), "{name} is not explained");
        }
        let entitled = dictionary(ENTITLEMENTS.as_bytes()).unwrap();
        assert!(entitled.is_empty(), "{entitled:?} is not explained");
    }
}
