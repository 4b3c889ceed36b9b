//! One signed statement of a roster. Its hash is over what is signed, so that a signature made twice changes nothing.

use base::NodeId;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use wire::roster::{Action, Content, Text};

use crate::{Identity, name};

/// Keeps signatures under rosters apart from every other use of a node's key (TLS signs with it too).
const DOMAIN: &[u8] = b"espalier roster statement 1\n";

/// Names a statement, and all that it builds on.
pub(crate) type Hash = [u8; 32];

/// A statement whose signature is right.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) hash: Hash,
    pub(super) content: Content,
    signature: [[u8; 32]; 2],
}

impl Statement {
    pub(super) fn sign(identity: &Identity, previous: Hash, height: u32, action: Action) -> Self {
        let content = Content {
            signer: identity.node_id().0,
            previous,
            height,
            action,
        };
        let message = message(&content).expect("names are cut to what a statement may hold");
        let signature = identity.sign(&message);
        let (first, second) = signature.split_at(32);
        Self {
            hash: Sha256::digest(&message).into(),
            signature: [first, second].map(|half| half.try_into().expect("Ed25519 makes 64 bytes")),
            content,
        }
    }

    /// The statement, if the one it names has signed it.
    pub(super) fn verify(statement: wire::roster::Statement) -> Option<Self> {
        let wire::roster::Statement { content, signature } = statement;
        let message = message(&content)?;
        UnparsedPublicKey::new(&ED25519, &content.signer)
            .verify(&message, signature.as_flattened())
            .ok()?;
        Some(Self {
            hash: Sha256::digest(&message).into(),
            content,
            signature,
        })
    }

    pub(super) fn to_wire(&self) -> wire::roster::Statement {
        wire::roster::Statement {
            content: self.content.clone(),
            signature: self.signature,
        }
    }

    pub(super) fn signer(&self) -> NodeId {
        NodeId(self.content.signer)
    }

    /// Older ones first; and before any statement all that it builds on, see [`super::Roster`].
    pub(super) fn age(&self) -> (u32, Hash) {
        (self.content.height, self.hash)
    }

    /// Whom it makes a member, under which name.
    pub(super) fn welcomes(&self) -> Option<(NodeId, String)> {
        match &self.content.action {
            // Whoever signed it is a member, and yet what it wrote is outside input.
            Action::Found { name, .. } => Some((self.signer(), name::clean(&name.0))),
            Action::Add { node, name } => Some((NodeId(*node), name::clean(&name.0))),
            Action::Remove { .. } => None,
        }
    }

    /// Which membership it ends, and the last statement under it that still counts.
    pub(super) fn cuts(&self) -> Option<(Hash, Hash)> {
        match self.content.action {
            Action::Remove { began, last } => Some((began, last)),
            Action::Found { .. } | Action::Add { .. } => None,
        }
    }
}

/// A name as statements hold it.
pub(super) fn name_of(text: &str) -> Text<{ wire::roster::NAME_BYTES_MAX }> {
    Text::cut(&name::clean(text))
}

fn message(content: &Content) -> Option<Vec<u8>> {
    Some([DOMAIN, &content.to_bytes()?].concat())
}
