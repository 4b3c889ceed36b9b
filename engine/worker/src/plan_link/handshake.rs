//! Three frames in which two ranks prove to each other that they know the plan's secret, without saying it.
//!
//! `Hello(rank, nonce)`, `Challenge(nonce, proof)`, `Proof(proof)`. A proof is HMAC-SHA256 under the secret over the
//! prover's side, both nonces, the rank and the size of the world: it fits no other side, connection, rank or plan.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use base::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wire::step::{HANDSHAKE_BYTES_MAX, PlanFrame};
use wire::{Decoder, encode};

use super::{HANDSHAKE_TIMEOUT, LinkError, read_frame};

/// Keeps these proofs apart from anything else that the same secret may prove.
const PURPOSE: &[u8] = b"espalier plan link 1";

/// Which side proves.
#[derive(Clone, Copy)]
enum Side {
    Lead = 0,
    Rank = 1,
}

/// What both sides know of one connection.
struct Session<'a> {
    secret: &'a Secret,
    rank: u32,
    world: u32,
    rank_nonce: [u8; 32],
    lead_nonce: [u8; 32],
}

impl Session<'_> {
    fn mac(&self, side: Side) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret.0).expect("HMAC takes keys of any length");
        mac.update(PURPOSE);
        mac.update(&[side as u8]);
        mac.update(&self.rank_nonce);
        mac.update(&self.lead_nonce);
        mac.update(&self.rank.to_le_bytes());
        mac.update(&self.world.to_le_bytes());
        mac
    }

    fn prove(&self, side: Side) -> [u8; 32] {
        self.mac(side).finalize().into_bytes().into()
    }

    /// Takes the same time for every wrong proof.
    fn check(&self, side: Side, proof: &[u8; 32]) -> Result<(), LinkError> {
        self.mac(side)
            .verify_slice(proof)
            .map_err(|_| LinkError::Unproven)
    }
}

/// Rank 0's side: which rank connected, once it is proven.
pub fn accept(stream: &mut TcpStream, secret: &Secret, world: u32) -> Result<u32, LinkError> {
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let mut decoder = Decoder::new(HANDSHAKE_BYTES_MAX);
    let PlanFrame::Hello { rank, nonce } = read_frame(stream, &mut decoder, deadline)? else {
        return Err(LinkError::OutOfTurn);
    };
    if rank == 0 || rank >= world {
        return Err(LinkError::Unproven);
    }
    let session = Session {
        secret,
        rank,
        world,
        rank_nonce: nonce,
        lead_nonce: nonce_of_ours()?,
    };
    let challenge = PlanFrame::Challenge {
        nonce: session.lead_nonce,
        proof: session.prove(Side::Lead),
    };
    stream.write_all(&encode(&challenge)?)?;
    let PlanFrame::Proof { proof } = read_frame(stream, &mut decoder, deadline)? else {
        return Err(LinkError::OutOfTurn);
    };
    session.check(Side::Rank, &proof)?;
    if decoder.buffered_bytes() > 0 {
        return Err(LinkError::OutOfTurn);
    }
    Ok(rank)
}

/// The other ranks' side.
pub fn connect(
    stream: &mut TcpStream,
    secret: &Secret,
    rank: u32,
    world: u32,
) -> Result<(), LinkError> {
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let mut decoder = Decoder::new(HANDSHAKE_BYTES_MAX);
    let rank_nonce = nonce_of_ours()?;
    let hello = PlanFrame::Hello {
        rank,
        nonce: rank_nonce,
    };
    stream.write_all(&encode(&hello)?)?;
    let PlanFrame::Challenge { nonce, proof } = read_frame(stream, &mut decoder, deadline)? else {
        return Err(LinkError::OutOfTurn);
    };
    let session = Session {
        secret,
        rank,
        world,
        rank_nonce,
        lead_nonce: nonce,
    };
    session.check(Side::Lead, &proof)?;
    // Rank 0 says nothing more before it has our proof.
    if decoder.buffered_bytes() > 0 {
        return Err(LinkError::OutOfTurn);
    }
    let proof = session.prove(Side::Rank);
    stream.write_all(&encode(&PlanFrame::Proof { proof })?)?;
    Ok(())
}

fn nonce_of_ours() -> Result<[u8; 32], LinkError> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(std::io::Error::other)?;
    Ok(nonce)
}
