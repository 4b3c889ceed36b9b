//! Questions to the person at the terminal that are answered with yes or no.

use std::io::{IsTerminal, Write};

use super::failure::CommandFailure;

/// More than any yes.
const ANSWER_BYTES_MAX: u64 = 64;

/// Whether there is somebody to ask.
pub(super) fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks; anything but yes is no.
pub(super) async fn yes(question: &str) -> Result<bool, CommandFailure> {
    print!("{question} [y/N] ");
    // A terminal that shows nothing is answered blindly, and that is no yes.
    let _ = std::io::stdout().flush();
    let reading = tokio::task::spawn_blocking(|| {
        use std::io::{BufRead, Read};
        let mut line = String::new();
        let mut input = std::io::stdin().lock().take(ANSWER_BYTES_MAX);
        input.read_line(&mut line).map(|_| line)
    });
    let unread = |error: &dyn std::error::Error| {
        CommandFailure::other(format!("cannot read the answer: {error}"))
    };
    let line = reading.await.map_err(|error| unread(&error))?;
    let line = line.map_err(|error| unread(&error))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
