//! Everything that needs more than one crate, in one binary so that it links once.

mod answers;
mod beginnings;
mod browser;
mod churn;
mod clients;
mod command_line;
mod discovery;
mod habits;
mod heldout;
mod killers;
mod locked_out;
mod malformed;
mod on_demand;
mod pairing;
mod parity;
mod picture;
mod privacy;
mod programs;
mod recovery;
mod sharded;
mod structured;
mod switches;
mod tray;
mod uninstall;
mod window;
