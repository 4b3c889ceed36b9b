//! `espalier uninstall`: removes what a node keeps on this computer. Says first what goes and what stays.

use std::fmt::Write;
use std::path::Path;

use base::ErrorCode;

use super::UninstallArguments;
use super::ask;
use super::failure::CommandFailure;
use crate::data_folder::LOCK;
use crate::environment::Environment;
use crate::uninstall::{Besides, Fate, Thing, Uninstall};
use crate::words;

pub(super) async fn uninstall(
    arguments: UninstallArguments,
    environment: &Environment,
) -> Result<(), CommandFailure> {
    let from_text = |text: String| CommandFailure::from(words::failure(ErrorCode::Internal, &text));
    let data = environment.data_folder(arguments.data);
    let data = data.map_err(|error| from_text(error.to_string()))?;
    let besides = Besides {
        conversations: arguments.conversations,
        caches: arguments.caches,
        models: arguments.models,
    };
    let prepared = Uninstall::prepare(&data, besides);
    let prepared = prepared.map_err(|error| from_text(error.to_string()))?;
    if !arguments.yes {
        if !ask::somebody_is_there() {
            let message = "nobody is there to be asked whether it may be removed";
            return Err(CommandFailure::with_hint(message, "say so with --yes"));
        }
        print!("{}", describe(&data, prepared.things(), "Will be removed"));
        if !ask::yes("Remove this?").await? {
            return Err(CommandFailure::other("nothing was removed"));
        }
    }
    let text = describe(&data, prepared.things(), "Removed");
    let member = prepared
        .things()
        .iter()
        .any(|thing| thing.name == "roster" && thing.fate == Fate::Goes);
    let mishaps = prepared.carry_out();
    if !mishaps.is_empty() {
        return Err(CommandFailure::with_hint(
            format!("not everything could be removed: {}", mishaps.join("; ")),
            "see who owns it, and try again",
        ));
    }
    print!("{text}");
    if member {
        println!(
            "The other computers of its cluster list it until it is removed in the settings of one of them."
        );
    }
    Ok(())
}

/// What goes and what stays, for people.
fn describe(data: &Path, things: &[Thing], goes: &str) -> String {
    let mut text = format!("{goes} from {}:\n", data.display());
    // The lock means nothing to people.
    let things = || things.iter().filter(|thing| thing.name != LOCK);
    for thing in things().filter(|thing| thing.fate == Fate::Goes) {
        let _ = writeln!(text, "  {}", thing.name);
    }
    if !things().any(|thing| thing.fate == Fate::Goes) {
        text += "  nothing\n";
    }
    if cfg!(target_os = "macos") {
        text += "and its key from the login keychain.\n";
    }
    let stays = |thing: &&Thing| thing.fate != Fate::Goes;
    if things().any(|thing| stays(&thing)) {
        text += "Stays there:\n";
    }
    for thing in things().filter(stays) {
        let why = match thing.fate {
            Fate::NotAsked(option) => format!("{option} removes it"),
            Fate::Unknown | Fate::Goes => "no node made it".to_owned(),
        };
        let _ = writeln!(text, "  {} ({why})", thing.name);
    }
    text
}
