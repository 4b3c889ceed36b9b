//! The app's real window, driven by its own controls: load Sprout, ask it, unload it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::desktop::{Desktop, Tray, wait_for};
use tests::webdriver::Window;

const QUESTION: &str = "Count from 1 to 30.";
/// Notes how long the answer is whenever it grows, since looking from outside may miss it.
const WATCH_THE_ANSWER: &str = r#"
    window.lengths = [];
    const note = () => {
        const text = [...document.querySelectorAll("article[aria-label=Answer] .text")].at(-1);
        const length = text?.textContent.trim().length ?? 0;
        if (length !== (window.lengths.at(-1) ?? 0)) window.lengths.push(length);
    };
    new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true });
"#;

/// A page of the window, by its name in the navigation.
fn page(window: &Window, name: &str) -> Result<()> {
    window.press(&format!(
        "//nav[@aria-label='Pages']//a[normalize-space()='{name}']"
    ))?;
    window.wait(&format!("//h1[normalize-space()='{name}']"))
}

/// The app's window, asked for in its tray.
fn open(desktop: &Desktop) -> Result<(Window, Tray)> {
    // Any port will do, so that other tests may have theirs.
    let data = desktop.home().join("DATA/espalier");
    fs::create_dir_all(&data)?;
    fs::write(data.join("settings.toml"), "api_port = 0\n")?;
    Window::open(desktop, || {
        let tray = desktop.tray()?;
        tray.click("Open Espalier")?;
        Ok(tray)
    })
}

#[test]
fn the_real_window_loads_answers_and_unloads() -> Result<()> {
    let desktop = Desktop::start()?;
    let (window, tray) = open(&desktop)?;
    // The first run is shown once, and can be skipped.
    window.press("//button[normalize-space()='Next']")?;
    window.wait("//label[contains(., 'Join cluster')]")?;
    window.press("//button[normalize-space()='Skip']")?;
    window.wait("//h1[normalize-space()='Cluster']")?;
    wait_until_drawn(&window)?;

    page(&window, "Models")?;
    window.press("//button[@aria-label='Load sprout']")?;
    window.wait("//section[@aria-label='sprout, loaded']//a[normalize-space()='Chat']")?;
    tray.wait("sprout — ready", |_| true)?;

    page(&window, "Chat")?;
    let answer = ask(&window, QUESTION)?;
    ensure!(answer.contains("1, 2, 3, 4, 5"), "{answer}");
    let lengths = window.run("return window.lengths")?;
    let lengths: Vec<u64> = growth(&lengths)?;
    ensure!(
        lengths.len() > 3 && lengths.is_sorted(),
        "the answer did not stream: {lengths:?}"
    );

    page(&window, "Models")?;
    window.press("//button[@aria-label='Unload sprout']")?;
    window.wait("//button[@aria-label='Load sprout']")?;
    tray.wait("sprout", |line| line.label == "sprout")?;
    tray.click("Quit Espalier")?;
    wait_for("the window is gone", || {
        Ok(!desktop.shows_window("Espalier")?)
    })?;
    Ok(())
}

/// Asks and waits for the whole answer.
fn ask(window: &Window, question: &str) -> Result<String> {
    window.run(WATCH_THE_ANSWER)?;
    window.write("//textarea[@aria-label='Message']", question)?;
    window.press("//button[normalize-space()='Ask']")?;
    window.wait("//article[@aria-label='Answer'][@aria-busy='false']")?;
    window.text("//article[@aria-label='Answer']//div[contains(@class, 'text')]")
}

fn growth(lengths: &Value) -> Result<Vec<u64>> {
    let lengths = lengths.as_array().context("lengths")?;
    let lengths = lengths.iter().map(Value::as_u64);
    lengths.map(|length| length.context("a length")).collect()
}

/// The window shows something, once it is painted. An empty one has one colour; the edges of text alone have dozens.
fn wait_until_drawn(window: &Window) -> Result<()> {
    wait_for("a picture of the page", || {
        let picture = window.picture()?;
        ensure!(
            picture.width >= 1000 && picture.height >= 600,
            "{picture:?}"
        );
        Ok(picture.colours > 20)
    })?;
    Ok(())
}
