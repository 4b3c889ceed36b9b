//! Checks the signature inside of a Mach-O file: every page, every slot, and every byte of the signature itself.
//!
//! An ad-hoc signature is covered by nothing, so each of its fields must be what the file around it demands.

use anyhow::{Context, Result, bail, ensure};
use cryptographic_message_syntax::SignedData;
use sha2::{Digest, Sha256};

use super::macho::{Slice, big};

const SIGNATURE: u32 = 0xfade_0cc0;
const DIRECTORY: u32 = 0xfade_0c02;
const MESSAGE: u32 = 0xfade_0b01;
const DIRECTORY_SLOT: u32 = 0;
const INFO_SLOT: usize = 1;
const RESOURCES_SLOT: usize = 3;
/// What may lie in slots of their own: requirements and both forms of the entitlements, each with its magic.
const SEALED: [(u32, u32); 3] = [(2, 0xfade_0c01), (5, 0xfade_7171), (7, 0xfade_7172)];
const MESSAGE_SLOT: u32 = 0x1_0000;
/// With the hardened runtime's version, and without.
const VERSIONS: [u32; 2] = [0x2_0500, 0x2_0400];
const AD_HOC: u32 = 2;
const HARDENED: u32 = 0x1_0000;
/// SHA-256 over pages of 4096 bytes.
const HASHES: [u8; 4] = [32, 2, 0, 12];
const HASH_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;

/// What the signature of a bundle's main program must also cover.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    /// Its identifier.
    pub identifier: &'a str,
    /// The bundle's `Info.plist`.
    pub info: &'a [u8],
    /// The bundle's `CodeResources`.
    pub resources: &'a [u8],
}

/// Checks one part of a file; the hash by which others refer to its signature.
pub fn check(slice: &Slice<'_>, bundle: Option<Bundle<'_>>) -> Result<[u8; 20]> {
    let (code, signature) = slice
        .bytes
        .split_at_checked(slice.signature_at)
        .context("it is cut off")?;
    let blobs = blobs(signature)?;
    let find = |slot: u32| {
        blobs
            .iter()
            .find(|(at, _)| *at == slot)
            .map(|(_, blob)| *blob)
    };
    let directory = find(DIRECTORY_SLOT).context("the signature has no code directory")?;
    let message = find(MESSAGE_SLOT).filter(|message| message.len() > 8);
    let mut sealed: Vec<(usize, &[u8])> = Vec::new();
    for (slot, magic) in SEALED {
        if let Some(blob) = find(slot) {
            ensure!(
                big(blob, 0)? == magic,
                "slot {slot} of the signature was changed"
            );
            sealed.push((slot as usize, blob));
        }
    }
    if let Some(bundle) = bundle {
        sealed.push((INFO_SLOT, bundle.info));
        sealed.push((RESOURCES_SLOT, bundle.resources));
    }
    let read = Directory::read(directory)?;
    read.check_fields(
        slice,
        bundle.map(|bundle| bundle.identifier),
        message.is_none(),
    )?;
    read.check_slots(&sealed)?;
    read.check_pages(code)?;
    if let Some(message) = message {
        check_message(&message[8..], directory).context("the certificate's signature is wrong")?;
    }
    let hash = Sha256::digest(directory);
    Ok(hash[..20].try_into()?)
}

/// The parts of a signature by slot. They follow each other without a gap, and only zeros follow them.
fn blobs(signature: &[u8]) -> Result<Vec<(u32, &[u8])>> {
    ensure!(big(signature, 0)? == SIGNATURE, "the signature was changed");
    let (length, count) = (big(signature, 4)? as usize, big(signature, 8)? as usize);
    let mut end = 12 + 8 * count;
    let mut blobs: Vec<(u32, &[u8])> = Vec::new();
    for index in 0..count {
        let (slot, at) = (
            big(signature, 12 + 8 * index)?,
            big(signature, 16 + 8 * index)? as usize,
        );
        let known = SEALED.map(|(slot, _)| slot).contains(&slot)
            || [DIRECTORY_SLOT, MESSAGE_SLOT].contains(&slot);
        ensure!(known, "the signature has an unknown part: slot {slot:#x}");
        ensure!(
            blobs.last().is_none_or(|(last, _)| *last < slot),
            "the signature's parts are not in order"
        );
        ensure!(at == end, "the signature's parts are not where they belong");
        end = at + big(signature, at + 4)? as usize;
        blobs.push((
            slot,
            signature.get(at..end).context("the signature is cut off")?,
        ));
    }
    ensure!(end == length, "the signature's length was changed");
    let rest = signature
        .get(length..)
        .context("the signature is cut off")?;
    ensure!(
        rest.iter().all(|byte| *byte == 0),
        "there is something behind the signature"
    );
    for (slot, magic) in [(DIRECTORY_SLOT, DIRECTORY), (MESSAGE_SLOT, MESSAGE)] {
        let blob = blobs.iter().find(|(at, _)| *at == slot);
        let right = blob.is_none_or(|(_, blob)| big(blob, 0).is_ok_and(|found| found == magic));
        ensure!(right, "slot {slot:#x} of the signature was changed");
    }
    Ok(blobs)
}

/// The code directory: what is signed.
struct Directory<'a> {
    bytes: &'a [u8],
    version: u32,
    flags: u32,
    identifier: &'a str,
    /// Hashes of slots, the last one first, and then of pages.
    hashes: Vec<&'a [u8]>,
    slots: usize,
}

impl<'a> Directory<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let word = |at: usize| big(bytes, at);
        let version = word(8)?;
        ensure!(
            VERSIONS.contains(&version),
            "the code directory's version is {version:#x}"
        );
        let header = if version == VERSIONS[0] { 96 } else { 88 };
        let (hashes_at, slots, pages) =
            (word(16)? as usize, word(24)? as usize, word(28)? as usize);
        ensure!(
            word(20)? as usize == header,
            "the code directory's name is elsewhere"
        );
        let (identifier, mut end) = text(bytes, header)?;
        let team_at = word(48)? as usize;
        if team_at != 0 {
            ensure!(team_at == end, "the code directory's team is elsewhere");
            end = text(bytes, team_at)?.1;
        }
        ensure!(
            hashes_at == end + slots * HASH_BYTES,
            "the code directory's hashes are elsewhere"
        );
        let hashes = bytes.get(end..).context("it is cut off")?;
        ensure!(
            hashes.len() == (slots + pages) * HASH_BYTES,
            "the code directory has another length"
        );
        Ok(Self {
            bytes,
            version,
            flags: word(12)?,
            identifier,
            hashes: hashes.chunks(HASH_BYTES).collect(),
            slots,
        })
    }

    fn check_fields(
        &self,
        slice: &Slice<'_>,
        identifier: Option<&str>,
        ad_hoc: bool,
    ) -> Result<()> {
        let word = |at: usize| big(self.bytes, at);
        let wide = |at: usize| {
            Ok::<_, anyhow::Error>(u64::from(word(at)?) << 32 | u64::from(word(at + 4)?))
        };
        if let Some(identifier) = identifier {
            ensure!(
                self.identifier == identifier,
                "it is signed as {:?}, not {identifier:?}",
                self.identifier
            );
        }
        ensure!(
            self.flags & !(AD_HOC | HARDENED) == 0,
            "the signature has unknown flags: {:#x}",
            self.flags
        );
        ensure!(
            (self.flags & AD_HOC != 0) == ad_hoc,
            "whether a certificate signed it was changed"
        );
        ensure!(
            !slice.executable || self.flags & HARDENED != 0,
            "it is signed without the hardened runtime"
        );
        ensure!(
            self.bytes[36..40] == HASHES,
            "the kind of hashes was changed"
        );
        ensure!(
            word(32)? as usize == slice.signature_at,
            "another length is signed"
        );
        let unused = [40, 44, 52, 56, 60];
        for at in unused {
            ensure!(
                word(at)? == 0,
                "byte {at} of the code directory was changed"
            );
        }
        ensure!(
            (wide(64)?, wide(72)?) == slice.text,
            "where the code lies was changed"
        );
        ensure!(
            wide(80)? == u64::from(slice.executable),
            "what kind of code it is was changed"
        );
        if self.version == VERSIONS[0] {
            let hardened = self.flags & HARDENED != 0;
            let runtime = if hardened { slice.system_version } else { 0 };
            ensure!(
                word(88)? == runtime && word(92)? == 0,
                "the runtime's version was changed"
            );
        }
        Ok(())
    }

    /// Slots count downwards from the hashes of the pages; one that covers nothing is zero.
    fn check_slots(&self, sealed: &[(usize, &[u8])]) -> Result<()> {
        let highest = sealed.iter().map(|(slot, _)| *slot).max().unwrap_or(0);
        ensure!(
            self.slots == highest,
            "the signature has {} slots, not {highest}",
            self.slots
        );
        for slot in 1..=self.slots {
            let covered = sealed.iter().find(|(at, _)| *at == slot);
            let expected: [u8; HASH_BYTES] =
                covered.map_or([0; HASH_BYTES], |(_, bytes)| Sha256::digest(bytes).into());
            let what = match slot {
                INFO_SLOT => "Info.plist",
                RESOURCES_SLOT => "CodeResources",
                2 => "the requirements",
                5 | 7 => "the entitlements",
                _ => "an unused slot",
            };
            ensure!(
                self.hashes[self.slots - slot] == expected,
                "{what} was changed after signing"
            );
        }
        Ok(())
    }

    fn check_pages(&self, code: &[u8]) -> Result<()> {
        let (hashes, pages) = (&self.hashes[self.slots..], code.chunks(PAGE_BYTES));
        ensure!(
            hashes.len() == pages.len(),
            "{} pages are signed of {}",
            hashes.len(),
            pages.len()
        );
        for (number, (page, hash)) in pages.zip(hashes).enumerate() {
            ensure!(
                Sha256::digest(page)[..] == **hash,
                "page {number} was changed after signing"
            );
        }
        Ok(())
    }
}

/// A text that ends with a zero, and where the bytes behind it begin.
fn text(bytes: &[u8], at: usize) -> Result<(&str, usize)> {
    let rest = bytes.get(at..).context("it is cut off")?;
    let length = rest
        .iter()
        .position(|byte| *byte == 0)
        .context("a name has no end")?;
    Ok((str::from_utf8(&rest[..length])?, at + length + 1))
}

/// Checks that the certificate's owner signed this code directory, and each certificate by the next one.
///
/// Some bytes of the wrapping carry no meaning (version numbers, empty parameters): a change of those is not noticed
/// here. The feed's signature over the whole disk image notices.
fn check_message(message: &[u8], directory: &[u8]) -> Result<()> {
    let signed = SignedData::parse_ber(message)?;
    let mut signers = 0;
    for signer in signed.signers() {
        signer.verify_signature_with_signed_data(&signed)?;
        signer.verify_message_digest_with_content(directory)?;
        signer.verify_time_stamp_token()?;
        signers += 1;
    }
    ensure!(signers == 1, "{signers} signers instead of one");
    let certificates: Vec<_> = signed.certificates().collect();
    for certificate in &certificates {
        let issuer = certificates
            .iter()
            .find(|other| other.subject_name() == certificate.issuer_name());
        let Some(issuer) = issuer else {
            bail!(
                "a certificate's issuer is missing\nhint: export the certificate with its whole chain"
            );
        };
        certificate.verify_signed_by_certificate(issuer)?;
    }
    Ok(())
}
