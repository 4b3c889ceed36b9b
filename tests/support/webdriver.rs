//! The app's real window, driven through `WebKit`'s own `WebDriver` as a person would use it. Says what is missing and how to
//! install it; a test never passes because there was no driver.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::desktop::{Desktop, wait_for};
use crate::nodes::program;

/// What Debian calls the package of the driver.
const PACKAGE: &str = "webkit2gtk-driver";
/// One question to the driver: starting the app and its window takes longest.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);
/// Whatever the page is to show is there within this, on a busy machine that computes a model besides.
const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// The longest answer is a picture of the window.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The key under which `WebDriver` hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The app, its one window, and the driver between. All end when it is dropped.
#[derive(Debug)]
pub struct Window {
    driver: Child,
    agent: ureq::Agent,
    base: String,
}

/// What a window shows, as pixels.
#[derive(Debug)]
pub struct Picture {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How many different colours there are.
    pub colours: usize,
}

impl Window {
    /// Starts the app on a desktop. Its window opens when somebody asks for it, which is for `ask` to do; what that
    /// returns comes along.
    pub fn open<T>(desktop: &Desktop, ask: impl FnOnce() -> Result<T>) -> Result<(Self, T)> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = desktop.system_command("WebKitWebDriver")?;
        command
            .arg(format!("--port={port}"))
            .arg("--host=127.0.0.1")
            .env("TAURI_AUTOMATION", "true")
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .stdin(Stdio::null())
            // The app is the driver's child: both are ended together.
            .process_group(0);
        let driver = command.spawn().with_context(|| {
            format!("WebKitWebDriver is missing (hint: apt-get install {PACKAGE})")
        })?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_LIMIT))
            .http_status_as_error(false)
            .build();
        let mut window = Self {
            driver,
            agent: config.into(),
            base: format!("http://127.0.0.1:{port}"),
        };
        wait_for("the driver", || Ok(window.get("/status").is_ok()))?;
        let app = json!({"binary": program("espalier-app")?, "args": ["--automation"]});
        let wanted = json!({"alwaysMatch": {"webkitgtk:browserOptions": app}});
        let asked = json!({"capabilities": wanted});
        // The driver answers once there is a window, so that is asked for meanwhile.
        let (session, given) = std::thread::scope(|scope| {
            let session = scope.spawn(|| window.post("/session", &asked));
            let given = ask();
            (session.join(), given)
        });
        let given = given?;
        let session = session.map_err(|_| anyhow::anyhow!("the driver's thread panicked"))??;
        let id = session["sessionId"].as_str().context("a session's id")?;
        window.base = format!("{}/session/{id}", window.base);
        Ok((window, given))
    }

    /// Waits until the page shows something, named by its `XPath`.
    pub fn wait(&self, path: &str) -> Result<()> {
        self.with(path, |window, element| {
            let shown = window.get(&format!("/element/{element}/displayed"))?;
            ensure!(shown == true, "it is not shown");
            Ok(())
        })
    }

    /// Waits until the page shows something no more.
    pub fn wait_gone(&self, path: &str) -> Result<()> {
        wait_for(path, || Ok(self.find(path).is_err()))?;
        Ok(())
    }

    /// Clicks with the pointer on what can be clicked.
    pub fn press(&self, path: &str) -> Result<()> {
        self.with(&format!("{path}[not(@disabled)]"), |window, element| {
            window.post(&format!("/element/{element}/click"), &json!({}))?;
            Ok(())
        })
    }

    /// Types into a field.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        self.with(path, |window, element| {
            window.post(&format!("/element/{element}/value"), &json!({"text": text}))?;
            Ok(())
        })
    }

    /// The text of an element, as it is seen.
    pub fn text(&self, path: &str) -> Result<String> {
        self.with(path, |window, element| {
            let text = window.get(&format!("/element/{element}/text"))?;
            Ok(text.as_str().context("text")?.to_owned())
        })
    }

    /// Runs a script in the page; what it returns.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What the window shows now.
    pub fn picture(&self) -> Result<Picture> {
        let encoded = self.get("/screenshot")?;
        let png = STANDARD.decode(encoded.as_str().context("a screenshot")?)?;
        let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().context("a picture's size")?];
        let frame = reader.next_frame(&mut pixels)?;
        let colours: std::collections::HashSet<&[u8]> = pixels[..frame.buffer_size()]
            .chunks_exact(frame.color_type.samples())
            .collect();
        Ok(Picture {
            width: frame.width,
            height: frame.height,
            colours: colours.len(),
        })
    }

    /// Does something with an element. The page may be drawn anew in between, so it is looked for again until it goes well.
    fn with<T>(&self, path: &str, act: impl Fn(&Self, &str) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            let done = self.find(path).and_then(|element| act(self, &element));
            match done {
                Ok(done) => return Ok(done),
                Err(error) if start.elapsed() > LIMIT => {
                    let shown = self.run("return document.body.innerText")?;
                    return Err(error.context(format!("{path} within {LIMIT:?}; shown: {shown}")));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    fn find(&self, path: &str) -> Result<String> {
        let found = self.post("/element", &json!({"using": "xpath", "value": path}))?;
        Ok(found[ELEMENT].as_str().context("an element")?.to_owned())
    }

    fn get(&self, path: &str) -> Result<Value> {
        value(self.agent.get(format!("{}{path}", self.base)).call()?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        value(self.agent.post(url).send_json(body)?)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Ok(group) = i32::try_from(self.driver.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.driver.wait();
    }
}

/// Every answer of a driver has a value: what was asked for, or an error.
fn value(mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = response.status();
    let mut answer: Value = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_json()?;
    if !status.is_success() {
        bail!("the driver answered {status}: {}", answer["value"]);
    }
    Ok(answer["value"].take())
}
