//! Mutual TLS 1.3 in which each side's raw Ed25519 key (RFC 7250) *is* its identity: there is no certificate, so
//! no X.509 is ever parsed, nothing expires, and no clock matters.
//!
//! It proves which key is at the other end, and nothing about whether that node may join: see `proof`.

use std::sync::Arc;

use base::NodeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, CommonState, ConnectionCommon, DigitallySignedStruct, DistinguishedName,
    Error, PeerIncompatible, SideData, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Identity;

/// What both sides must speak. The number changes when older nodes could not follow.
const ALPN: &[u8] = b"espalier/2";
/// Binds the membership proof to this one TLS connection.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-espalier-membership-1";
/// `SubjectPublicKeyInfo` of an Ed25519 key up to the key itself; DER allows no other spelling.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Both ends' TLS settings for one identity.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) acceptor: TlsAcceptor,
}

impl Tls {
    pub(crate) fn new(identity: &Identity) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let key = Arc::new(certified_key(identity)?);
        let verifier = Arc::new(RawKeyVerifier(provider.clone()));

        let mut client = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
                key.clone(),
            )));
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.enable_sni = false;
        // Every session proves its keys afresh.
        client.resumption = Resumption::disabled();

        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        Ok(Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
        })
    }
}

/// The name a client must pass and nobody looks at: the key alone identifies the peer.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from("espalier").expect("a constant and valid DNS name")
}

/// Whose key the other end proved in the handshake. `None` only before it.
pub(crate) fn peer_of(connection: &CommonState) -> Option<NodeId> {
    match connection.peer_certificates()? {
        [key] => node_of(key),
        _ => None,
    }
}

/// A secret that only the two ends of this very connection have. `None` only before the handshake's end.
pub(crate) fn channel_binding<D: SideData>(connection: &ConnectionCommon<D>) -> Option<[u8; 32]> {
    connection
        .export_keying_material([0; 32], EXPORTER_LABEL, None)
        .ok()
}

/// Whether the other end speaks our protocol. The server's side refuses by itself only if the client offers something.
pub(crate) fn speaks_espalier(connection: &CommonState) -> bool {
    connection.alpn_protocol() == Some(ALPN)
}

fn certified_key(identity: &Identity) -> Result<CertifiedKey, Error> {
    let pkcs8 = PrivatePkcs8KeyDer::from(identity.to_pkcs8());
    let key = ring::sign::any_eddsa_type(&pkcs8)?;
    let spki = [&SPKI_PREFIX[..], &identity.node_id().0].concat();
    Ok(CertifiedKey::new(vec![CertificateDer::from(spki)], key))
}

fn node_of(spki: &CertificateDer<'_>) -> Option<NodeId> {
    let key = spki.strip_prefix(&SPKI_PREFIX)?;
    key.try_into().ok().map(NodeId)
}

/// Accepts exactly one raw Ed25519 key, and lets the provider check that the peer signed this handshake with it.
#[derive(Debug)]
struct RawKeyVerifier(Arc<CryptoProvider>);

impl RawKeyVerifier {
    fn check_key(key: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), Error> {
        match (node_of(key), others) {
            (Some(_), []) => Ok(()),
            _ => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if signature.scheme != SignatureScheme::ED25519 {
            return Err(CertificateError::BadSignature.into());
        }
        let spki = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signature, algorithms)
    }
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Self::check_key(key, others).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Self::check_key(key, others).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
