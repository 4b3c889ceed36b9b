//! The whole of packaging, through the command line, read back by programs that are not ours.

mod app;
mod command;
mod feed;
mod image;
mod made;
mod releases;
mod sparkle;
