//! Everything that needs more than one crate, in one binary so that it links once.

mod answers;
mod browser;
mod clients;
mod command_line;
mod discovery;
mod habits;
mod heldout;
mod locked_out;
mod malformed;
mod on_demand;
mod pairing;
mod parity;
mod picture;
mod privacy;
mod recovery;
mod sharded;
mod switches;
mod tray;
mod uninstall;
mod window;
